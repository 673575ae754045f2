# Version 1 of the messages between bioyinos, made up from the layout of their bytes: names are ours.
@0xd87a49a1c493df22;

struct Message {
  union {
    single @0 :Metric;
    multi @1 :List(Metric);
    snapshot @2 :List(Metric);
  }
}

struct Metric {
  name @0 :Text;
  value @1 :Float64;
  type @2 :MetricType;
  timestamp @3 :Timestamp;
  meta @4 :Meta;
}

struct MetricType {
  union {
    counter @0 :Void;
    diffCounter @1 :Float64;
    timer @2 :List(Float64);
    gauge @3 :Gauge;
    set @4 :List(UInt64);
    histogram @5 :List(Float64);
  }
}

struct Gauge {
  union {
    unsigned @0 :Void;
    signed @1 :Int8;
  }
}

struct Timestamp {
  ts @0 :UInt64;
}

struct Meta {
  sampling @0 :Sampling;
  updateCounter @1 :UInt32;
}

struct Sampling {
  sampling @0 :Float32;
}
