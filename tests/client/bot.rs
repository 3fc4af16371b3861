//! `client --exec`: runs a program for each message. With `--reply`, its output is sent.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::plain::terminal;
use crate::server::password::{REQUIRED, config};
use crate::support::folder::Folder;
use crate::support::harness::{FakeServer, Peer, Server, within};
use crate::support::program::{CLIENT, Output, Program};

const CONNECTED: &str = "Connected to server.";

/// A connected bot.
fn bot(server: &Server, more: &[&str]) -> Program {
    let mut bot = start(Program::client_arguments(server.address, "bot"), &[&["-v"], more].concat());
    bot.stderr.expect(CONNECTED);
    bot
}

fn start(arguments: [String; 6], more: &[&str]) -> Program {
    Program::start(CLIENT, arguments.iter().map(String::as_str).chain(more.iter().copied()))
}

/// A bot that runs this `sh` script, and Alice, who has seen it join.
fn scripted(server: &Server, more: &[&str], script: &str) -> (Peer, Program) {
    let mut alice = server.join("Alice");
    let all = [more, &["--exec", "sh", "--", "-c", script]].concat();
    let mut bot = bot(server, &all);
    alice.expect("* bot has joined");
    if !more.contains(&"--lines-only") {
        bot.stdout.expect("* Welcome, bot. 1 other here: Alice. /help lists the commands.");
    }
    (alice, bot)
}

const SHOW: &str = "echo \"<$LINECHAT_FROM> <$LINECHAT_TEXT> <$LINECHAT_PRIVATE>\"";

#[test]
fn the_program_gets_the_message_and_its_output_is_sent() {
    let server = Server::start();
    let (mut alice, mut bot) = scripted(&server, &["--reply"], SHOW);
    alice.send("hi: there  $(id) `id` \"; id\n");
    alice.expect("bot: <Alice> <hi: there  $(id) `id` \"; id> <0>");
    bot.stdout.expect("Alice: hi: there  $(id) `id` \"; id");
    alice.send("/msg bot psst\n");
    alice.expect("bot (privately): <Alice> <psst> <1>");
    bot.stdout.expect("Alice (privately): psst");
}

#[test]
fn without_reply_the_output_is_neither_sent_nor_shown() {
    let server = Server::start();
    let (mut alice, mut bot) = scripted(&server, &["--lines-only"], &format!("{SHOW}; {SHOW} >&2"));
    alice.send("hi\n");
    bot.stderr.expect("<Alice> <hi> <0>");
    bot.stderr.expect("<Alice> <hi> <0>");
    bot.stdout.expect("Alice: hi");
    alice.expect_nothing_new();
}

/// Notices and refusals do not run the program, and the bot does not get its own messages.
#[test]
fn only_messages_run_the_program() {
    let server = Server::start();
    let (mut alice, _bot) = scripted(&server, &["--reply"], SHOW);
    let mut carol = server.join("Carol");
    alice.expect("* Carol has joined");
    carol.send("/quit a: b\n");
    alice.expect("* Carol has left (\"a: b\")");
    alice.send("done\n");
    alice.expect("bot: <Alice> <done> <0>");
    alice.expect_nothing_new();
}

/// With numbers, its messages come back. They would be answered before later ones.
#[test]
fn a_bot_does_not_answer_itself() {
    let server = Server::start();
    let (mut alice, _bot) = scripted(&server, &["--ids", "--reply"], "echo \"$LINECHAT_TEXT!\"");
    for text in ["one", "two", "three"] {
        alice.send(&format!("{text}\n"));
        alice.expect(&format!("bot: {text}!"));
    }
}

#[test]
fn messages_are_answered_one_at_a_time_and_in_order() {
    let server = Server::start();
    let folder = Folder::empty("bot-order");
    // A run fails if another one is still running.
    let script = format!("cd {} && mkdir one && echo $LINECHAT_TEXT && rmdir one", folder.display());
    let (mut alice, _bot) = scripted(&server, &["--reply"], &script);
    (0..20).for_each(|number| alice.send(&format!("{number}\n")));
    (0..20).for_each(|number| alice.expect(&format!("bot: {number}")));
}

#[test]
fn no_output_is_sent_as_a_command() {
    let server = Server::start();
    let (mut alice, _bot) = scripted(&server, &["--reply"], "printf '/quit\\nx\\r/nick evil\\n\\n//two'");
    alice.send("hi\n");
    for said in ["/quit", "x", "/nick evil", "//two"] {
        alice.expect(&format!("bot: {said}"));
    }
}

#[test]
fn long_lines_are_split_and_too_much_output_is_cut() {
    let server = Server::start();
    let (mut alice, mut bot) = scripted(&server, &["--reply"], "yes € | tr -d '\\n'");
    alice.send("hi\n");
    // The limit is inside a character.
    let whole = "€".repeat(64 * 1024 / 3);
    let mut said = String::new();
    while said.len() < whole.len() {
        said.push_str(alice.line().strip_prefix("bot: ").unwrap());
    }
    assert!(said == whole, "it said {} bytes", said.len());
    bot.stderr.expect("client: sh wrote more than 65536 bytes; the rest is not sent");
    alice.expect_nothing_new();
}

#[test]
fn a_failed_run_is_reported_and_the_next_message_runs_it_again() {
    let server = Server::start();
    let (mut alice, mut bot) = scripted(&server, &["--reply"], "echo no; exit 7");
    for _ in 0..2 {
        alice.send("hi\n");
        alice.expect("bot: no");
        bot.stderr.expect("client: sh failed for a message of Alice: exit status: 7");
    }
}

#[test]
fn a_program_that_cannot_be_started_is_reported_and_the_bot_stays() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let folder = Folder::empty("bot-gone");
    let program = format!("{}/program", folder.display());
    std::fs::copy("/bin/true", &program).unwrap();
    let mut bot = bot(&server, &["--exec", &program]);
    alice.expect("* bot has joined");
    drop(folder);
    for _ in 0..2 {
        alice.send("hi\n");
        bot.stderr.expect(&format!("client: cannot run {program}: No such file or directory"));
    }
}

#[test]
fn a_missing_program_is_a_usage_error_at_the_start() {
    for (program, why) in [
        ("", "there is no such program in PATH"),
        ("no-such-program", "there is no such program in PATH"),
        ("/no/such/program", "No such file or directory"),
        ("/etc", "Permission denied"),
        ("/etc/passwd", "Permission denied"),
    ] {
        let done = Program::start(CLIENT, ["--name", "bot", "--exec", program]).finish();
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{program:?}");
        let why = format!("error: invalid value '{program}' for '--exec <CMD>': {why}\n");
        assert!(done.stderr.starts_with(&why), "{}", done.stderr);
    }
}

/// The first run blocks until the test opens the gate. Meanwhile everything is read and shown.
#[test]
fn messages_that_do_not_fit_the_queue_are_shown_and_counted() {
    let server = Server::start();
    let folder = Folder::empty("bot-fast");
    let gate = fifo(&folder, "gate");
    let script = format!("[ $LINECHAT_TEXT = first ] && read -r go < {gate}; echo $LINECHAT_TEXT");
    let (mut alice, mut bot) = scripted(&server, &["--reply"], &script);
    alice.send("first\n");
    // Opening it for writing succeeds once the program has opened it for reading. Then the queue is empty.
    let opened = gate.clone();
    let gate = within(move || std::fs::File::options().write(true).open(opened).unwrap());
    bot.stdout.expect("Alice: first");
    for number in 0..100 {
        alice.send(&format!("{number}\n"));
        bot.stdout.expect(&format!("Alice: {number}"));
    }
    drop(gate);
    alice.expect("bot: first");
    bot.stderr.expect("client: sh was not run for 36 messages: messages arrive faster than it runs");
    (0..64).for_each(|number| alice.expect(&format!("bot: {number}")));
    alice.send("last\n");
    alice.expect("bot: last");
}

#[test]
fn messages_that_still_wait_at_the_end_are_counted() {
    let mut server = Server::start();
    let folder = Folder::empty("bot-end");
    let gate = fifo(&folder, "gate");
    let (mut alice, mut bot) = scripted(&server, &[], &format!("read -r go < {gate}"));
    alice.send("first\n");
    let opened = gate.clone();
    let gate = within(move || std::fs::File::options().write(true).open(opened).unwrap());
    alice.send("second\nthird\n");
    for line in ["Alice: first", "Alice: second", "Alice: third"] {
        bot.stdout.expect(line);
    }
    server.begin_stop();
    bot.stderr.expect("client: sh was not run for 2 messages: the session ended first");
    // The running program is not ended. It keeps the standard error open that it shares with the client.
    drop(gate);
    let done = bot.finish();
    assert_eq!((done.code, done.stderr.as_str()), (Some(3), "client: the server was shut down\n"));
}

/// A background process keeps the output open, but the bot does not wait for it.
#[test]
fn the_reply_is_sent_when_the_program_ends_even_if_its_output_stays_open() {
    let server = Server::start();
    let folder = Folder::empty("bot-background");
    let gate = fifo(&folder, "gate");
    let script = format!("{{ read -r go < {gate}; echo late; }} & echo said; printf 'and half a line'");
    let (mut alice, mut bot) = scripted(&server, &["--reply"], &script);
    for _ in 0..2 {
        alice.send("hi\n");
        bot.stdout.expect("Alice: hi");
        alice.expect("bot: said");
        alice.expect("bot: and half a line");
    }
    // They get SIGPIPE, which ends them.
    drop(within(move || std::fs::File::options().read(true).write(true).open(gate).unwrap()));
    alice.expect_nothing_new();
}

#[test]
fn the_bot_waits_for_a_program_that_closes_its_output() {
    let server = Server::start();
    let (mut alice, mut bot) = scripted(&server, &["--reply"], "echo said; exec >&-; sleep 0.2; exit 7");
    alice.send("hi\n");
    alice.expect("bot: said");
    bot.stderr.expect("client: sh failed for a message of Alice: exit status: 7");
}

#[test]
fn the_end_of_standard_input_does_not_end_a_bot() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut bot = bot(&server, &["--reply", "--exec", "echo", "yes"]);
    bot.end_input();
    alice.expect("* bot has joined");
    alice.send("still there?\n");
    alice.expect("bot: yes");
}

#[test]
fn a_program_has_an_empty_input() {
    let server = Server::start();
    let (mut alice, mut bot) = scripted(&server, &["--reply"], "cat; echo end");
    bot.write("not for the program\n");
    alice.send("hi\n");
    alice.expect("bot: end");
}

/// For trying a bot out: it does not read the terminal, and does not tell the person to type.
#[test]
fn a_bot_at_a_terminal_does_not_read_it() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let (screen, side) = terminal();
    let mut command = Command::new(CLIENT);
    command.args(Program::client_arguments(server.address, "bot")).args(["-v", "--reply", "--exec", "echo", "yes"]);
    command.stdin(side.try_clone().unwrap()).stdout(side);
    let mut bot = Program::spawn(command);
    let mut keyboard = screen.try_clone().unwrap();
    let mut screen = Output::of(screen);
    bot.stderr.expect(CONNECTED);
    screen.expect("* Welcome, bot. 1 other here: Alice. /help lists the commands.");
    alice.expect("* bot has joined");
    keyboard.write_all(b"typed\n\x04").unwrap();
    alice.send("hi\n");
    alice.expect("bot: yes");
    screen.expect("Alice: hi");
}

#[test]
fn incomplete_lines_and_invalid_names_do_not_run_the_program() {
    let fake = FakeServer::start();
    let mut bot = start(Program::client_arguments(fake.address, "bot"), &["--reply", "--exec", "env"]);
    let mut server = fake.accept("bot");
    server.send("* Welcome, bot.\na b: x\n\x1b[2J: x\nAlice: a\0b\n");
    server.send(&format!("* {}", "x".repeat(100_000)));
    server.send("\nAlice (privately): =\n");
    let why = "client: cannot run env: nul byte found in provided data";
    bot.stderr.expect(why);
    let answers: Vec<_> =
        std::iter::from_fn(|| Some(server.line())).take_while(|line| !line.contains("PATH=")).collect();
    assert!(answers.iter().all(|line| line.starts_with("/msg Alice ")), "{answers:?}");
}

#[test]
fn conflicting_options_are_a_usage_error() {
    for (arguments, why) in [
        (&["--reply"][..], "--exec <CMD>"),
        (&["--exec", "true", "--wait", "1"], "'--exec <CMD>' cannot be used with '--wait <SECONDS>'"),
        (&["--exec"], "a value is required for '--exec <CMD>'"),
        (&["--exec", "sh", "-c", "true"], "'-- -c'"),
    ] {
        let done = Program::start(CLIENT, [&["--name", "bot"], arguments].concat()).finish();
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(done.stderr.contains(why), "{arguments:?}: {}", done.stderr);
    }
}

/// docs/manual.md has a systemd unit for a bot next to the server from docs/deploy.md.
#[test]
fn the_documented_unit_runs_the_installed_client_with_the_password_of_the_room() {
    let document = |path| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let unit = document("docs/manual.md");
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let (program, arguments) = command.split_once(' ').unwrap();
    // The package that deploy.md installs puts the client there.
    assert!(document("docs/deploy.md").contains("\napt install ./linechat_*_amd64.deb\n"));
    assert!(document("tools/package/tree").contains("client:linechat ") && program == "/usr/bin/linechat", "{program}");
    let credential = unit.lines().find_map(|line| line.strip_prefix("LoadCredential=")).unwrap();
    let (name, _) = credential.split_once(':').unwrap();

    let server = Server::start_with(config("unit"));
    let credentials = Folder::empty("bot-unit");
    let password = credentials.join(name);
    std::fs::write(&password, "open sesame\n").unwrap();
    std::fs::set_permissions(password, std::fs::Permissions::from_mode(0o400)).unwrap();
    let mut command = Command::new("sh");
    // The rest of the line means the same to systemd and to a shell.
    command.args(["-c", &format!("exec {CLIENT} {arguments}")]);
    command.env("CREDENTIALS_DIRECTORY", &*credentials).env("LINECHAT_HOST", server.address.to_string());
    let mut bot = Program::spawn({
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    });
    bot.stdout.expect(REQUIRED);
    bot.stdout.expect("* Welcome, clock. You are the first here. /help lists the commands.");
    let mut alice = server.connect();
    alice.send("Alice\nopen sesame\nwhat time is it?\n");
    alice.expect(REQUIRED);
    alice.expect("* Welcome, Alice. 1 other here: clock. /help lists the commands.");
    let answer = alice.line();
    assert!(answer.starts_with("clock: ") && answer.contains("UTC"), "{answer:?}");
}

/// Creates a named pipe. A program that opens it waits until the test opens it too.
fn fifo(folder: &Folder, name: &str) -> String {
    let path = folder.join(name).to_str().unwrap().to_owned();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}
