//! The product under attack: real runs, driven by the built binary, whose containers run Python or shell against their
//! box, the gate, the host that takes in what they leave, and the person who reads it.

mod decide;
mod disk;
mod escape;
mod exhaust;
mod grade;
mod host;
mod keys;
mod kill;
mod kill_many;
mod world;
