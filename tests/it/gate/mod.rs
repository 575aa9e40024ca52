//! The gate, run in this process over real unix sockets, against a real HTTP upstream on 127.0.0.1.

mod actions;
mod allowance;
mod answers;
mod budget;

mod capabilities;
mod children;
mod conversation;
mod counting;
mod crash;
mod doors;
mod egress;
mod forwards;
mod fuzzed;
mod held;
mod hostile;
mod http;
mod limits;
mod mail;
mod matrix;
mod messages;
mod passing;
mod policy;
mod records;
mod refused;
mod remembering;
mod replay;
mod retries;
mod secrets;
mod services;
pub mod tls;
mod told;
mod unsent;
pub mod upstream;
mod ways_out;
mod world;
