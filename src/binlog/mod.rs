//! The binlog room.
