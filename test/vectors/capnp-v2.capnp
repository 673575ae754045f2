# Version 2 of the messages between bioyinos, made up from the layout of their bytes: names are ours.
@0xa1bc8b0a8a38d5b3;

struct Message {
  version @0 :UInt64;
  union {
    noop @1 :Void;
    snapshot @2 :List(Metric);
  }
}

struct Metric {
  name @0 :Text;
  value @1 :MetricValue;
  timestamp @2 :Timestamp;
  meta @3 :Meta;
  sampling @4 :Float32;
}

struct MetricValue {
  union {
    gauge @0 :Float64;
    counter @1 :Float64;
    timer @2 :List(Float64);
    set @3 :List(UInt64);
    histogram @4 :Histogram;
  }
}

struct Histogram {
  leftBucket @0 :UInt64;
  buckets @1 :List(Bucket);
}

struct Bucket {
  value @0 :Float64;
  counter @1 :UInt64;
}

struct Timestamp {
  ts @0 :UInt64;
}

struct Meta {
  updateCounter @0 :UInt32;
  union {
    noTags @1 :Void;
    graphite @2 :UInt64;
  }
}
