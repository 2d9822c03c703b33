//! `quell`, the program. Everything is in the library.

fn main() -> std::process::ExitCode {
    quell::cli::main()
}
