//! The manual page: options, and a section for each subcommand.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_mangen::Man;

use crate::config::Cli;

/// Writes it to standard output.
pub(crate) fn print() -> io::Result<()> {
    let mut page = Vec::new();
    let program = Cli::command();
    Man::new(program.clone()).render(&mut page)?;
    for subcommand in program.get_subcommands() {
        let man = Man::new(subcommand.clone().disable_help_flag(true));
        let mut section = Vec::new();
        man.render_synopsis_section(&mut section)?;
        man.render_description_section(&mut section)?;
        if subcommand.get_arguments().next().is_some() {
            man.render_options_section(&mut section)?;
        }
        let section = String::from_utf8_lossy(&section).replace(".SH ", ".SS ");
        let name = subcommand.get_name().to_uppercase();
        page.extend(format!(".SH MESSAGEU-SERVER {name}\n{section}").into_bytes());
    }
    io::stdout().lock().write_all(&page)
}
