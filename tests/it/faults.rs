//! Faults, each once: the server says what is wrong, does no harm meanwhile, and heals by itself.

mod clients;
mod crowd;
mod descriptors;
pub(crate) mod node;
mod postgres;
mod slow_requests;
mod storage;
