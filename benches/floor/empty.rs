//! The floor of `taskforge --version`: a static program that starts and ends.
fn main() {}
