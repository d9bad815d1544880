//! The whole way to tor against a pretended control port, and against a real tor.
