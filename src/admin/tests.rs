//! The port as a whole, without a server behind it.
