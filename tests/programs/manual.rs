//! Man pages and shell completions, as the programs write them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::harness::skipped;
use crate::support::program::{CLIENT, Program, SERVER};

const PROGRAMS: [(&str, &str); 2] = [("client", CLIENT), ("server", SERVER)];

fn output(path: &str, arguments: &[&str]) -> String {
    let done = Program::start(path, arguments).finish();
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    done.stdout
}

/// All long options, as their lines in `--help` begin with them, without the hyphens.
fn long_options(path: &str) -> BTreeSet<String> {
    let help = output(path, &["--help"]);
    // The short form stands before the long one.
    let lines = help.lines().map(|line| line.trim_start()).map(|line| match line.as_bytes() {
        [b'-', _, b',', b' ', ..] => &line[4..],
        _ => line,
    });
    let words = lines.filter_map(|line| line.strip_prefix("--")).filter_map(|line| line.split_whitespace().next());
    // A line of text may begin with two hyphens too.
    words.filter(|word| word.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase())).map(str::to_owned).collect()
}

#[test]
fn every_form_holds_every_option_of_the_help() {
    for (name, path) in PROGRAMS {
        let options = long_options(path);
        for option in ["port", "help", "generate"] {
            assert!(options.contains(option), "{option} is missing in {options:?}");
        }
        for (form, mark) in [
            ("man", format!("\n.TH {name} 1 ")),
            ("bash", format!(" -F _{name} ")),
            ("zsh", format!("#compdef {name}\n")),
            ("fish", format!("complete -c {name} ")),
        ] {
            let text = output(path, &["--generate", form]).replace("\\-", "-");
            assert!(text.contains(&mark), "{mark:?} is not in {name}'s {form}:\n{text}");
            for option in &options {
                let written = if form == "fish" { format!(" -l {option} ") } else { format!("--{option}") };
                assert!(text.contains(&written), "{written} is not in {name}'s {form}:\n{text}");
            }
        }
    }
}

#[test]
fn the_manual_in_docs_lists_every_option() {
    let manual = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/manual.md")).unwrap();
    for (name, path) in PROGRAMS {
        let heading = format!("The {name}\n");
        let section = manual.split("\n## ").find(|section| section.starts_with(&heading)).unwrap();
        let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
        let words = cells.flat_map(|cell| cell.split(['`', ' ', ','])).filter_map(|word| word.strip_prefix("--"));
        let listed: BTreeSet<_> = words.map(str::to_owned).collect();
        let mut options = long_options(path);
        for general in ["help", "version", "generate"] {
            assert!(options.remove(general), "{general}");
        }
        assert_eq!(listed, options, "{name}");
    }
}

#[test]
fn a_man_page_has_its_sections_and_the_examples_as_they_stand() {
    for (name, path) in PROGRAMS {
        let page = output(path, &["--generate", "man"]).replace("\\-", "-").replace("\\*(Aq", "'");
        assert!(page.contains(&format!("\n.SH NAME\n{name} - ")), "{page}");
        for title in ["SYNOPSIS", "DESCRIPTION", "OPTIONS", "\"EXIT STATUS\"", "EXAMPLES"] {
            assert!(page.contains(&format!("\n.SH {title}\n")), "{title} is missing in\n{page}");
        }
        let help = output(path, &["--help"]);
        for example in help.split_once("\nExamples:\n").unwrap().1.lines() {
            assert!(page.contains(&format!("\n{}\n", example.trim())), "{example} is missing in\n{page}");
        }
    }
    let page = output(CLIENT, &["--generate", "man"]);
    assert!(page.contains("\n.SH ENVIRONMENT\n") && page.contains("\n.TP\n\\fBLINECHAT_FROM\\fR\n"), "{page}");
}

#[test]
fn the_man_page_of_the_server_describes_each_command_of_admin() {
    let page = output(SERVER, &["--generate", "man"]).replace("\\-", "-");
    let section = page.split_once("\n.SH \"COMMANDS OF ADMIN\"\n").expect("there is such a section").1;
    let section = section.split_once("\n.SH ").unwrap().0;
    for entry in [
        "\\fB--data DIR\\fR\nThe --data folder of the server\n",
        "\\fBop\\fR NAME\nMake NAME an operator; the name must be registered\n",
        "\\fBkick\\fR NAME [REASON]...\n",
        "\\fBban\\fR NAME|ADDR [DURATION] [REASON]...\n",
        "\\fBlist\\fR [people|names|bans|mutes]\n",
        "\\fBstats\\fR\n",
    ] {
        assert!(section.contains(&format!(".TP\n{entry}")), "{entry} is missing in\n{section}");
    }
    // All of them, as they are in the help.
    let help = output(SERVER, &["admin", "--help"]);
    let commands = help.split_once("\nCommands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    // A line that goes on begins further to the right.
    let lines = commands.lines().filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    let names: Vec<_> = lines.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() >= 12, "{names:?}");
    for name in names {
        assert!(section.contains(&format!(".TP\n\\fB{name}\\fR")), "{name} is missing in\n{section}");
    }
}

#[test]
fn the_usage_says_what_belongs_together() {
    let help = output(CLIENT, &["--help"]);
    let usage = "\nUsage: client [OPTION]... [HOST[:PORT]]\n       \
                 client [OPTION]... [HOST[:PORT]] --exec CMD [--reply] [--] [ARG]...\n";
    assert!(help.contains(usage), "{help}");
    let done = Program::start(CLIENT, ["Bob"]).finish();
    assert_eq!(done.code, Some(2));
    assert!(done.stderr.contains(usage), "{}", done.stderr);
}

#[test]
fn the_shells_and_man_understand_them() {
    for (form, check) in [
        ("man", &["man", "--warnings", "--encoding=UTF-8", "--local-file", "-"][..]),
        ("bash", &["bash", "-n"]),
        ("zsh", &["zsh", "-n", "/dev/stdin"]),
        ("fish", &["fish", "--no-execute", "/dev/stdin"]),
    ] {
        for (name, path) in PROGRAMS {
            if Command::new(check[0]).arg("--version").stdin(Stdio::null()).output().is_err() {
                skipped(&format!("{} is not installed: {name}'s {form}", check[0]));
                continue;
            }
            let mut reader = Command::new(check[0]);
            reader.args(&check[1..]).env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100");
            reader.stdin(Stdio::piped()).stdout(Stdio::null());
            let done = Program::spawn(reader).finish_with(&output(path, &["--generate", form]));
            assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{name}'s {form}");
        }
    }
}

#[test]
fn bash_completes_an_option_and_a_value() {
    let script = output(SERVER, &["--generate", "bash"])
        + "\nCOMP_WORDS=(server --idle); COMP_CWORD=1; _server server --idle server; echo \"${COMPREPLY[@]}\"\
           \nCOMP_WORDS=(server --pace p); COMP_CWORD=2; _server server p --pace; echo \"${COMPREPLY[@]}\"\n";
    let done = Program::start("bash", ["-c", &script]).finish();
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (Some(0), "--idle-line\npublic\n", ""));
}

/// As after `install target/release/client /usr/local/bin/linechat`.
#[test]
fn a_program_that_is_installed_under_another_name_uses_that_name() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("installed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (path, own, name) in [(CLIENT, "client", "linechat"), (SERVER, "server", "linechat-server")] {
        let installed = folder.join(name);
        symlink(path, &installed).unwrap();
        let installed = installed.to_str().unwrap();
        for form in ["man", "bash", "zsh", "fish"] {
            let text = output(installed, &["--generate", form]).replace("\\-", "-");
            let mark = match form {
                "man" => format!("\n.SH NAME\n{name} - "),
                "bash" => format!(" -o bashdefault -o default {name}\n"),
                "zsh" => format!("#compdef {name}\n"),
                _ => format!("complete -c {name} "),
            };
            assert!(text.contains(&mark), "{mark:?} is not in {form}:\n{text}");
        }
        let help = output(installed, &["--help"]);
        assert!(help.contains(&format!("\nUsage: {name} ")), "{help}");
        let examples = help.split_once("\nExamples:\n").unwrap().1;
        let words: Vec<_> = examples.split_whitespace().collect();
        assert!(words.contains(&name) && !words.contains(&own), "{examples}");
    }
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let done = Program::start(&at("linechat"), ["--name", "Bob", "--unix", "/no/such/socket"]).finish();
    assert!(done.stderr.starts_with("linechat: cannot connect to /no/such/socket: "), "{}", done.stderr);
    let done = Program::start(&at("linechat-server"), ["--data", "/no/such/folder"]).finish();
    assert!(done.stderr.starts_with("linechat-server: "), "{}", done.stderr);
    let done = Program::start(&at("linechat-server"), ["admin", "--data", "/no/such/folder", "stats"]).finish();
    assert!(done.stderr.starts_with("linechat-server: "), "{}", done.stderr);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn it_stands_alone_and_a_full_disk_is_told() {
    let done = Program::start(CLIENT, ["--generate", "man", "--name", "Bob"]).finish();
    assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""));
    for (name, path, code) in [("client", CLIENT, 3), ("server", SERVER, 1)] {
        let mut command = Command::new(path);
        command.args(["--generate", "bash"]).stdout(File::options().write(true).open("/dev/full").unwrap());
        let done = Program::spawn(command).finish();
        let why = format!("{name}: cannot write to standard output: No space left on device\n");
        assert_eq!((done.code, done.stderr), (Some(code), why));
    }
}
