//! Everything that runs the built binary or needs a real part: one binary, one file a subject.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agent_container;
mod agent_init;
mod agent_loop;
mod agent_verbs;
mod attack;
mod bad_input;
mod base;
mod cli;
mod container;
mod crash;
mod desk;
mod docker_api;
mod docs;
mod endpoint;
mod examples;
mod fake_gate;
mod gate;
mod image;
mod journey;
mod model_server;
mod prompt_run;
mod scene;
mod schemas;
mod starters;
