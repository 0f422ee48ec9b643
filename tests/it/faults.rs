//! Faults, each once: the server says what is wrong, does no harm, and heals by itself.

pub(crate) mod node;
