//! `quell`, the program. Everything is in the library.

/// An answer of AWS's is thousands of small strings, which many tasks read at the same time on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    quell::cli::main()
}
