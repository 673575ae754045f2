/** Stands in for rfloor.c: the floor of a relay without any destination only receives. */
import "./own-floor.ts";
