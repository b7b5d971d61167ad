"""The pure part: no I/O, no clock, no logging, no JSON. Time is an argument, in UTC milliseconds."""
