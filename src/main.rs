//! Parse argv, call, print, exit code: nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    taskforge::cli::main()
}
