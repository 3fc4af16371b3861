//! The parts of a program's manual besides its options, and what can be made of them: the man page, shell
//! completions and an example of the file for `--config`.
//!
//! The option `--generate` prints them, so neither a build script nor a second program is needed: `client --generate
//! man > client.1`. They use the name under which the program was started.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::process::exit;

use clap::builder::StyledStr;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command, Parser, ValueEnum, value_parser};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::program_name::program_name;
use crate::cli::settings;
use crate::cli::settings::{CommandLine, GENERATE};
use crate::cli::status;
use crate::os::io_error;
use crate::os::system::stdio;

/// The parts of a program's manual that clap does not have.
#[derive(Debug, Clone, Copy)]
pub struct Manual {
    /// The name of the program in this project. It may be installed under another one.
    pub program: &'static str,
    /// The purpose in a few words.
    pub purpose: &'static str,
    /// The ways to call it, without its name.
    pub synopsis: &'static [&'static str],
    pub exit_codes: &'static [(&'static str, &'static str)],
    pub environment: &'static [(&'static str, &'static str)],
    /// Working command lines, with `{}` for the name of the program.
    pub examples: &'static [&'static str],
    /// The end of the example of `--config`: what it may have besides options. Comments only.
    pub tables: &'static str,
    /// The exit code when standard output cannot be written.
    pub output_lost: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A man page
    Man,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
    /// An example of the file for --config, with all settings
    Config,
}

/// Adds what is set elsewhere to the arguments of a program.
pub type Gather = fn(&Command, &[OsString]) -> Result<CommandLine, String>;

/// A command line that was understood.
#[derive(Debug)]
pub struct Parsed<A> {
    pub options: A,
    pub matches: ArgMatches,
    pub line: CommandLine,
}

impl<A: Parser> Parsed<A> {
    /// Parses these arguments, of which the first is the program, with what `gather` adds to them.
    ///
    /// # Errors
    /// What is wrong with the arguments, or with what was added.
    pub fn of(given: &[OsString], gather: Gather) -> Result<Self, clap::Error> {
        let mut command = command::<A>();
        let line = gather(&command, given).map_err(wrong)?;
        let parsed = command.try_get_matches_from_mut(&line.arguments);
        match parsed.and_then(|matches| Ok((A::from_arg_matches(&matches)?, matches))) {
            Ok((options, matches)) => Ok(Self { options, matches, line }),
            Err(error) => Err(line.explain(&command, &error).map_or(error, wrong)),
        }
    }

    /// All settings as a file, and where each comes from.
    pub fn settings(&self) -> String {
        self.line.show(&command::<A>(), &self.matches)
    }

    /// The values of all settings, by name. `None` if it is not set.
    pub fn values(&self) -> BTreeMap<String, Option<String>> {
        settings::values(&command::<A>(), &self.matches)
    }
}

/// An error about something that was not typed. The usage would not help.
pub fn wrong(why: String) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, why + "\n")
}

/// The command line of a program, with `--generate`.
pub fn command<A: Parser>() -> Command {
    A::command().arg(option())
}

impl Manual {
    /// The last part of `--help`.
    pub fn after_help(&self) -> String {
        let mut help = "Exit codes:\n".to_owned();
        let width = self.exit_codes.iter().map(|(code, _)| code.len()).max().unwrap_or_default();
        for (code, meaning) in self.exit_codes {
            let _ = writeln!(help, "  {code:width$}  {meaning}");
        }
        help.push_str("\nExamples:");
        for example in self.examples() {
            let _ = write!(help, "\n  {example}");
        }
        help
    }

    /// The usage lines of `--help`.
    pub fn usage(&self) -> String {
        let name = self.name();
        let ways: Vec<_> = self.synopsis.iter().map(|way| format!("{name} {way}")).collect();
        ways.join("\n       ")
    }

    /// Parses the arguments of this process with what `gather` adds to them. Does not return if something is to be
    /// generated or the arguments are invalid.
    pub fn parse<A: Parser>(&self, gather: Gather) -> Parsed<A> {
        let given: Vec<_> = env::args_os().collect();
        let parsed = Parsed::of(&given, gather).unwrap_or_else(|error| error.exit());
        if let Some(&form) = parsed.matches.get_one::<Form>(GENERATE) {
            let code = self.generate(command::<A>(), form).map_or(self.output_lost, |text| self.print(&text));
            exit(code.into());
        }
        parsed
    }

    fn name(&self) -> String {
        program_name(self.program)
    }

    fn examples(&self) -> impl Iterator<Item = String> {
        let name = self.name();
        self.examples.iter().map(move |example| example.replace("{}", &name))
    }

    /// Prints to standard output, and returns the exit code.
    pub fn print(&self, text: &[u8]) -> u8 {
        match stdio::write_output(text) {
            Ok(()) => 0,
            Err(error) => {
                if error.kind() != io::ErrorKind::BrokenPipe {
                    let why = io_error::describe(&error);
                    status::say(&format!("{}: cannot write to standard output: {why}", self.name()));
                }
                self.output_lost
            }
        }
    }

    fn generate(&self, command: Command, form: Form) -> io::Result<Vec<u8>> {
        // clap uses the name of the package.
        let name = self.name();
        let mut command = command.name(name.clone()).bin_name(name.clone());
        let shell = match form {
            Form::Man => return self.man(command),
            Form::Config => return Ok((settings::example(&command) + self.tables).into_bytes()),
            Form::Bash => Shell::Bash,
            Form::Zsh => Shell::Zsh,
            Form::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, name.clone(), &mut script);
        let script = String::from_utf8_lossy(&script);
        // For bash, clap writes the name in two ways if it contains a hyphen, and then finds no commands.
        let (one, other) = (name.replace('-', "__subcmd__"), name.replace('-', "__"));
        Ok(script.replace(&one, &other).into_bytes())
    }

    fn man(&self, command: Command) -> io::Result<Vec<u8>> {
        let version = format!("linechat {}", env!("CARGO_PKG_VERSION"));
        let commands = self.commands(command.clone());
        // The date must not be empty, because an empty field would be left out. With a real date, builds would not be
        // reproducible.
        let man = Man::new(command).section("1").date(" ").source(version).manual("linechat");
        let mut page = Vec::new();
        man.render_title(&mut page)?;
        self.head().to_writer(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
        commands.to_writer(&mut page)?;
        self.tail().to_writer(&mut page)?;
        Ok(page)
    }

    /// The name and synopsis. clap would write `<--name>` without its value.
    fn head(&self) -> Roff {
        let name = self.name();
        let mut head = Roff::new();
        head.control("SH", ["NAME"]).text([roman(format!("{name} - {}", self.purpose))]);
        head.control("SH", ["SYNOPSIS"]);
        for (number, way) in self.synopsis.iter().enumerate() {
            between_paragraphs(&mut head, number);
            head.text([bold(&name), roman(format!(" {way}"))]);
        }
        head
    }

    /// A section for each subcommand with its options and subcommands. clap would only refer to other pages.
    fn commands(&self, mut command: Command) -> Roff {
        let mut page = Roff::new();
        // Arguments can be displayed only after this.
        command.build();
        for subcommand in command.get_subcommands() {
            let name = subcommand.get_name();
            page.control("SH", [format!("COMMANDS OF {}", name.to_uppercase()).as_str()]);
            let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
            page.text([bold(format!("{} {name}", self.name())), roman(format!(": {about}."))]);
            for option in subcommand.get_opts() {
                entry(&mut page, &option.to_string().replace(['<', '>'], ""), "", option.get_help());
            }
            for command in subcommand.get_subcommands() {
                let words: String = command.get_positionals().map(|word| format!(" {}", word_of(word))).collect();
                entry(&mut page, command.get_name(), &words, command.get_about());
            }
        }
        page
    }

    fn tail(&self) -> Roff {
        let mut tail = Roff::new();
        table(&mut tail, "EXIT STATUS", self.exit_codes);
        table(&mut tail, "ENVIRONMENT", self.environment);
        tail.control("SH", ["EXAMPLES"]);
        for (number, example) in self.examples().enumerate() {
            between_paragraphs(&mut tail, number);
            // Printed as it is, neither filled nor broken.
            tail.control("RS", ["4"]).control("nf", []).text([roman(example)]);
            tail.control("fi", []).control("RE", []);
        }
        tail
    }
}

/// Starts a new paragraph, except before the first one.
fn between_paragraphs(page: &mut Roff, number: usize) {
    if number > 0 {
        page.control("PP", []);
    }
}

/// An entry of a list: literal text, placeholders, and a description.
fn entry(page: &mut Roff, literal: &str, words: &str, help: Option<&StyledStr>) {
    let help = help.map(ToString::to_string).unwrap_or_default();
    page.control("TP", []).text([bold(literal), roman(words)]).text([roman(help)]);
}

/// A placeholder in the synopsis of a command: `NAME`, `[REASON]...` or `[people|names]`.
fn word_of(word: &Arg) -> String {
    let values: Vec<_> = word.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    match values.as_slice() {
        [] => word.to_string().replace(['<', '>'], ""),
        values => format!("[{}]", values.join("|")),
    }
}

/// A section with a table, unless the table is empty.
fn table(page: &mut Roff, title: &str, rows: &[(&str, &str)]) {
    if rows.is_empty() {
        return;
    }
    page.control("SH", [title]);
    for (word, meaning) in rows {
        page.control("TP", []).text([bold(*word)]).text([roman(*meaning)]);
    }
}

/// The option `--generate`, which excludes all others.
fn option() -> Arg {
    let help = "Print a man page, shell completions or an example of --config to standard output";
    Arg::new(GENERATE).long(GENERATE).value_name("FORM").value_parser(value_parser!(Form)).exclusive(true).help(help)
}
