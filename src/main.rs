//! Parse argv, call, print, exit code: nothing else.

use std::process::ExitCode;

/// musl's own allocator maps and unmaps memory for almost every size it meets first, which cost a short command more
/// than all its work.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    taskforge::cli::main()
}
