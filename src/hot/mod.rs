//! The hot room.
