use clap::CommandFactory as _;

use super::Cli;
use super::error::Failure;
use super::screen::Screen;

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Examples:\n  quell completions bash > ~/.local/share/bash-completion/completions/quell\n  quell completions fish > ~/.config/fish/completions/quell.fish"
)]
pub struct Args {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Carries the command out.
pub fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "quell", &mut script);
    screen.print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
