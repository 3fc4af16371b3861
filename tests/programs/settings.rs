//! Settings from a file and from the environment.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[cfg(unix)]
use rusqlite::Connection;

use crate::server::password;
use crate::server::password::password_file;
use crate::support::folder::Folder;
#[cfg(unix)]
use crate::support::harness::make_private;
use crate::support::harness::{FakeServer, Server};
#[cfg(unix)]
use crate::support::program::ServerProgram;
use crate::support::program::{CLIENT, Finished, Program, SERVER};

fn folder(test: &str) -> Folder {
    Folder::empty(&format!("settings-{test}"))
}

/// A file of settings in a folder of its own.
struct File {
    path: PathBuf,
    _folder: Folder,
}

impl Deref for File {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

fn file(test: &str, text: &str) -> File {
    let folder = folder(test);
    let path = folder.join("config.toml");
    fs::write(&path, text).unwrap();
    File { path, _folder: folder }
}

fn run(program: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Finished {
    let mut command = Command::new(program);
    for name in ["LINECHAT_NAME", "LINECHAT_HOST", "LINECHAT_PORT", "LINECHAT_PASSWORD", "XDG_CONFIG_HOME"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    Program::spawn(command).finish_with("")
}

/// The line about a setting, without its padding. Defaults are comments.
#[track_caller]
fn setting(done: &Finished, name: &str) -> String {
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    let starts = [format!("{name} = "), format!("# {name} = "), format!("# {name} is not set")];
    let line = done.stdout.lines().find(|line| starts.iter().any(|start| line.starts_with(start)));
    line.unwrap_or_else(|| panic!("{name} is not in\n{}", done.stdout)).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first line of an error.
#[track_caller]
fn wrong(done: &Finished) -> &str {
    assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{}", done.stderr);
    done.stderr.lines().next().unwrap().strip_prefix("error: ").unwrap()
}

#[test]
fn the_settings_of_the_server_come_from_the_command_line_the_environment_and_the_file() {
    let path = file("order", "# Ours\nport = 7000\nlog-level = \"warn\"\npace = \"public\"\n");
    let path = path.to_str().unwrap();
    let variables = [("LINECHAT_SERVER_LOG_LEVEL", "error"), ("LINECHAT_SERVER_REPLAY", "3")];
    let done = run(SERVER, &variables, &["config", "--config", path, "--port", "6000"]);
    assert_eq!(setting(&done, "port"), "port = 6000 # command line");
    assert_eq!(setting(&done, "log-level"), "log-level = \"error\" # LINECHAT_SERVER_LOG_LEVEL in the environment");
    assert_eq!(setting(&done, "replay"), "replay = 3 # LINECHAT_SERVER_REPLAY in the environment");
    assert_eq!(setting(&done, "pace"), format!("pace = \"public\" # {path}, line 4"));
    assert_eq!(setting(&done, "threads"), "# threads = 1 # default");
    assert_eq!(setting(&done, "tls-cert"), "# tls-cert is not set");
    // What is printed is a file with the same settings.
    let again = run(SERVER, &[], &["config", "--config", file("again", &done.stdout).to_str().unwrap()]);
    let values = |done: &Finished| {
        done.stdout.lines().filter_map(|line| Some(line.rsplit_once(" # ")?.0.trim().to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(values(&done), values(&again), "{}", again.stderr);
    // The variable may name the file.
    let done = run(SERVER, &[("LINECHAT_SERVER_CONFIG", path)], &["config"]);
    assert_eq!(setting(&done, "port"), format!("port = 7000 # {path}, line 2"));
}

#[test]
fn a_wrong_setting_of_the_server_is_reported_with_its_place() {
    let config = |text: &str| {
        let path = file("wrong", text);
        let done = run(SERVER, &[], &["--config", path.to_str().unwrap()]);
        wrong(&done).replace(path.to_str().unwrap(), "FILE")
    };
    assert_eq!(config("port = 7\nprot = 1"), "FILE, line 2: there is no setting \"prot\"; did you mean \"port\"?");
    let why = "FILE, line 1: invalid value 'fast' for '--pace <PACE>' [possible values: open, public, off]";
    assert_eq!(config("pace = \"fast\""), why);
    let why = "FILE, line 1: the following required arguments were not provided: --data <DIR>";
    assert_eq!(config("sync = \"1s\""), why);
    assert!(config("port 7").starts_with("FILE, line 1: "), "{}", config("port 7"));
    let done = run(SERVER, &[("LINECHAT_SERVER_PROT", "1")], &[]);
    let why = "LINECHAT_SERVER_PROT in the environment: there is no setting \"prot\"; did you mean \"port\"?";
    assert_eq!(wrong(&done), why);
    let done = run(SERVER, &[], &["--config", "/no/such"]);
    assert!(wrong(&done).starts_with("cannot read /no/such: "), "{}", done.stderr);
    // The options do not agree with each other.
    let why = config("rooms = \"fixed:a,b\"\nroom-limit = 2");
    assert!(why.starts_with("FILE, line 1: the lobby and the rooms of --rooms are 3"), "{why}");
    // What needs another one may be typed.
    let path = file("needs", "data = \"d\"\nsync = \"1s\"");
    let done = run(SERVER, &[], &["--config", path.to_str().unwrap(), "--tls-port", "5001"]);
    assert_eq!(wrong(&done), "the following required arguments were not provided:");
    for more in [&["config"][..], &["--generate", "man"], &["--check"]] {
        assert_eq!(wrong(&run(SERVER, &[], &[&["config"], more].concat())), "config takes only settings");
    }
}

/// Whoever can change the file can choose where the password is.
#[test]
#[cfg(unix)]
fn a_file_that_others_can_change_is_refused_by_the_server() {
    use std::os::unix::fs::PermissionsExt;
    let path = file("mode", "port = 7");
    for mode in [0o664, 0o646] {
        fs::set_permissions(&*path, fs::Permissions::from_mode(mode)).unwrap();
        let why = format!("cannot read {0}: others can change it; run chmod go-w {0}", path.display());
        assert_eq!(wrong(&run(SERVER, &[], &["config", "--config", path.to_str().unwrap()])), why);
        assert_eq!(wrong(&run(SERVER, &[], &["admin", "--config", path.to_str().unwrap(), "list"])), why);
    }
}

#[test]
fn admin_finds_the_folder_in_the_file_or_in_the_environment() {
    let admin = |variables: &[(&str, &str)], arguments: &[&str]| {
        let done = run(SERVER, variables, &[&["admin"], arguments, &["list"]].concat());
        done.stderr.lines().next().unwrap().to_owned()
    };
    let tries = |shown: String, folder: &str| {
        assert!(shown.contains(&format!("no server is running with --data {folder}")), "{shown}");
    };
    let path = file("admin", "data = \"in-file\"\npace = \"invalid, but not needed\"");
    let path = path.to_str().unwrap();
    let variable = ("LINECHAT_SERVER_DATA", "in-variable");
    tries(admin(&[variable], &[]), "in-variable");
    // What is typed comes first.
    tries(admin(&[variable], &["--config", path]), "in-file");
    tries(admin(&[variable], &["--data", "typed"]), "typed");
    let why = "error: give --data DIR, the folder of the server, or --config FILE, its settings, such as --config \
        /etc/linechat/server.toml; or set LINECHAT_SERVER_CONFIG";
    assert_eq!(admin(&[], &[]), why);
    let empty = file("admin-empty", "");
    let why = format!("error: {}: data is not set, but admin needs it", empty.display());
    assert_eq!(admin(&[], &["--config", empty.to_str().unwrap()]), why);
}

#[test]
fn check_reads_certificates_passwords_and_the_database() {
    let folder = folder("check-data");
    let check = |text: &str| {
        let path = file("check", text);
        let done = run(SERVER, &[], &["--check", "--config", path.to_str().unwrap()]);
        (done.code, done.stdout, done.stderr)
    };
    let nothing = (Some(0), String::new(), String::new());
    let data = folder.join("data");
    assert_eq!(check(&format!("data = {data:?}")), nothing);
    assert!(!data.exists(), "a check changes nothing");
    let failed = |text: &str| {
        let (code, stdout, stderr) = check(text);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        stderr
    };
    assert!(failed("password-file = \"/no/such\"").contains("/no/such"));
    assert!(failed("tls-cert = \"/no/cert\"\ntls-key = \"/no/key\"").contains("/no/cert"));
    assert!(failed("host = \"no such host\"").contains("no such host"));
    fs::write(&data, "not a folder").unwrap();
    assert!(failed(&format!("data = {data:?}")).contains("data"));
    fs::remove_file(&data).unwrap();
    fs::create_dir(&data).unwrap();
    fs::write(data.join("linechat.db"), "not a database").unwrap();
    #[cfg(unix)]
    make_private(&data.join("linechat.db"));
    assert!(failed(&format!("data = {data:?}")).contains("is not a linechat database"));
}

/// The write-ahead log of a server that was killed stays as it is, too.
#[test]
#[cfg(unix)]
fn a_check_reads_the_accounts_and_leaves_the_files_as_they_are() {
    let folder = folder("check-killed");
    let data = folder.join("data");
    let arguments = ["--data", data.to_str().unwrap()];
    let mut server = ServerProgram::start(&arguments);
    let mut alice = server.join("Alice");
    alice.send("hello\n/ping\n");
    alice.expect("* Pong");
    server.program.signal(rustix::process::Signal::KILL);
    server.program.finish();
    let files = || {
        let paths = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
        // The index of the write-ahead log is made again for each reader.
        let paths = paths.filter(|path| path.is_file() && !path.ends_with("linechat.db-shm"));
        let mut files: Vec<_> = paths.map(|path| (fs::read(&path).unwrap(), path)).collect();
        files.sort_by(|one, other| one.1.cmp(&other.1));
        files
    };
    let before = files();
    assert!(before.iter().any(|(content, path)| path.ends_with("linechat.db-wal") && !content.is_empty()));
    let check = || run(SERVER, &[], &["--check", arguments[0], arguments[1]]);
    assert_eq!(check().code, Some(0));
    assert!(files() == before, "a check changes nothing");
    let sql = "INSERT OR REPLACE INTO settings VALUES ('checksum', 1)";
    Connection::open(data.join("linechat.db")).unwrap().execute_batch(sql).unwrap();
    let done = check();
    assert!(done.code == Some(1) && done.stderr.contains("is corrupt"), "{}", done.stderr);
}

#[test]
fn the_generated_examples_can_be_used() {
    for (program, print) in [(SERVER, "config"), (CLIENT, "--print-config")] {
        let example = run(program, &[], &["--generate", "config"]);
        assert_eq!(example.code, Some(0));
        let path = file("example", &example.stdout);
        let done = run(program, &[], &[print, "--config", path.to_str().unwrap()]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let names = |text: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')));
            lines.filter_map(|line| Some(line.split_once(" = ")?.0.to_owned())).collect::<Vec<_>>()
        };
        let shown: Vec<_> =
            done.stdout.lines().map(|line| line.trim_start_matches("# ").split(' ').next().unwrap()).collect();
        assert_eq!(names(&example.stdout), shown);
        assert!(example.stdout.lines().all(|line| line.chars().count() <= 100), "{}", example.stdout);
    }
}

/// The client with a file, with a name that is not in it.
fn client(path: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Finished {
    run(CLIENT, variables, &[&["--config", path, "--print-config"], arguments].concat())
}

#[test]
fn a_named_server_has_its_own_settings() {
    let text = "name = \"Bob\"\nhost = \"a.example\"\ntls-fingerprint = \"x\"\nno-bell = true\n\
                [servers.home]\nhost = \"home.example\"\nport = 6000\nroom = \"dev\"\n\
                [servers.work]\nhost = \"work.example\"\nname = \"Robert\"\ntls = true\nhear = [\"ops\", \"dev\"]\n";
    // The fingerprint has to be one.
    let text = text.replace("\"x\"", &format!("\"{}\"", "ab".repeat(32)));
    let path = file("named", &text);
    let path = path.to_str().unwrap();

    let default = client(path, &[], &[]);
    assert_eq!(setting(&default, "host"), format!("host = \"a.example\" # {path}, line 2"));
    assert_eq!(setting(&default, "name"), format!("name = \"Bob\" # {path}, line 1"));

    let home = client(path, &[], &["home"]);
    assert_eq!(setting(&home, "host"), format!("host = \"home.example\" # {path}, line 6"));
    assert_eq!(setting(&home, "port"), format!("port = 6000 # {path}, line 7"));
    assert_eq!(setting(&home, "room"), format!("room = \"dev\" # {path}, line 8"));
    assert_eq!(setting(&home, "name"), format!("name = \"Bob\" # {path}, line 1"));
    assert_eq!(setting(&home, "no-bell"), format!("no-bell = true # {path}, line 4"));
    assert_eq!(setting(&home, "tls-fingerprint"), "# tls-fingerprint is not set", "it belongs to another server");

    // What is typed overrides the table, which overrides the environment, which overrides the rest of the file.
    let variables = [("LINECHAT_NAME", "Carol"), ("LINECHAT_PORT", "7")];
    let work = client(path, &variables, &["--room", "qa", "work"]);
    assert_eq!(setting(&work, "name"), format!("name = \"Robert\" # {path}, line 11"));
    assert_eq!(setting(&work, "room"), "room = \"qa\" # command line");
    assert_eq!(setting(&work, "hear"), format!("hear = [\"ops\", \"dev\"] # {path}, line 13"));
    let home = client(path, &variables, &["home"]);
    assert_eq!(setting(&home, "name"), "name = \"Carol\" # LINECHAT_NAME in the environment");
    let other = client(path, &variables, &["c.example"]);
    assert_eq!(setting(&other, "host"), "host = \"c.example\" # command line");
    assert_eq!(setting(&other, "port"), "port = 7 # LINECHAT_PORT in the environment");
    let home = client(path, &[("LINECHAT_HOST", "home"), ("LINECHAT_PORT", "7")], &[]);
    assert_eq!(setting(&home, "host"), format!("host = \"home.example\" # {path}, line 6"));
    assert_eq!(setting(&home, "port"), format!("port = 6000 # {path}, line 7"));
    // One of them can be the default.
    let by_default = file("default", &text.replace("a.example", "work"));
    let work = client(by_default.to_str().unwrap(), &[], &[]);
    assert!(setting(&work, "host").starts_with("host = \"work.example\""), "{}", work.stdout);
    assert_eq!(setting(&work, "tls-fingerprint"), "# tls-fingerprint is not set");

    // Another server gets nothing that belongs to a server.
    for arguments in [&["c.example"][..], &["--host", "c.example"], &["--unix", "/no/such"]] {
        let other = client(path, &[], arguments);
        assert!(!other.stdout.contains("a.example") && other.stdout.contains("# tls-fingerprint is not set"));
    }
    // Otherwise a host would get the password of another one.
    for (arguments, another) in [(["--host", "x"], "--host"), (["--unix", "/x"], "--unix")] {
        let why = format!("\"home\" and {another} each name a server; use only one");
        assert_eq!(wrong(&client(path, &[], &[&["home"], &arguments[..]].concat())), why);
    }
    assert_eq!(wrong(&client(path, &[], &["home", "x"])), "\"home\" and \"x\" each name a server; use only one");
}

#[test]
fn the_printed_port_and_tls_are_those_that_are_used() {
    let fingerprint = format!("host = \"a\"\ntls-fingerprint = \"{}\"\n", "ab".repeat(32));
    let (plain, tls) = ("# tls = false # default", "# tls = true # host or certificates");
    for (text, arguments, port, is_tls) in [
        ("host = \"tls://a\"", &[][..], "# port = 5001 # default", tls),
        ("host = \"tls://a:6000\"", &[], "# port = 6000 # host", tls),
        ("host = \"tls://a\"\ntls = false", &[], "# port = 5001 # default", tls),
        ("[servers.home]\nhost = \"tls://a\"", &["home"], "# port = 5001 # default", tls),
        (&fingerprint, &[], "# port = 5001 # default", tls),
        ("", &["tls://a", "--port", "6000"], "port = 6000 # command line", tls),
        ("", &["--tls"], "# port = 5001 # default", "tls = true # command line"),
        ("", &["a:6000"], "# port = 6000 # host", plain),
        ("", &[], "# port = 5000 # default", plain),
        ("", &["unix:/a"], "# port is not set", plain),
    ] {
        let path = file("used", text);
        let done = client(path.to_str().unwrap(), &[], arguments);
        assert_eq!((setting(&done, "port"), setting(&done, "tls")), (port.to_owned(), is_tls.to_owned()), "{text}");
        // The same file is printed from what was printed.
        if arguments.is_empty() {
            let again = file("used-again", &done.stdout);
            let again = client(again.to_str().unwrap(), &[], &[]);
            assert_eq!((setting(&again, "port"), setting(&again, "tls")), (port.to_owned(), is_tls.to_owned()));
        }
    }
}

#[test]
fn a_wrong_setting_of_the_client_is_reported_with_its_place() {
    let config = |text: &str, server: &str| {
        let path = file("client-wrong", text);
        let done = client(path.to_str().unwrap(), &[], &[server]);
        wrong(&done).replace(path.to_str().unwrap(), "FILE")
    };
    assert_eq!(config("nam = \"Bob\"", "a"), "FILE, line 1: there is no setting \"nam\"; did you mean \"name\"?");
    let why = "FILE, line 2: there is no setting \"prt\"; did you mean \"port\"?";
    assert_eq!(config("[servers.home]\nprt = 1", "elsewhere"), why);
    assert_eq!(config("[servers.home]\nport = 1", "home"), "FILE: [servers.home] needs host or unix");
    assert_eq!(config("exec = \"sh\"", "a"), "FILE, line 1: \"exec\" can be given only on the command line");
    let why = config("[servers.home]\nhost = \"h\"\nname = \"#x\"", "home");
    assert!(why.starts_with("FILE, line 3: invalid value '#x' for '--name <NAME>': "), "{why}");
}

#[test]
fn a_misspelled_server_of_the_file_gets_a_hint() {
    let said = |text: &str, host: &str| {
        let path = file("misspelled", &format!("name = \"Bob\"\n{text}"));
        let path = path.to_str().unwrap();
        let done = run(CLIENT, &[], &["--config", path, host]);
        assert_eq!((done.code, done.stdout.as_str()), (Some(3), ""));
        assert!(done.stderr.starts_with("client: cannot find the host "), "{}", done.stderr);
        done.stderr.trim_end().replace(path, "FILE")
    };
    let servers = "[servers.home]\nhost = \"nowhere.invalid\"\n[servers.work]\nhost = \"localhost\"\n";
    let close = said(servers, "hme");
    assert!(close.ends_with("; FILE has no [servers.hme]; did you mean \"home\"?"), "{close}");
    let other = said(servers, "elsewhere");
    assert!(other.ends_with("; FILE has no [servers.elsewhere]; its servers are \"home\", \"work\""), "{other}");
    let dots = said("[servers.\"chat.example.invalid\"]\nhost = \"localhost\"\n", "chat.exmple.invalid");
    assert!(
        dots.ends_with("; FILE has no [servers.\"chat.exmple.invalid\"]; did you mean \"chat.example.invalid\"?"),
        "{dots}"
    );
    // A right name, a host, and a file without servers.
    for (text, host) in [(servers, "home"), (servers, "no.such.invalid"), ("", "hme")] {
        let done = said(text, host);
        assert!(!done.contains("[servers."), "{done}");
    }
}

#[test]
#[cfg(unix)]
fn a_server_whose_name_is_no_text_gets_nothing_that_belongs_to_another() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let path = file("no-text", "password-file = \"/p\"");
    let mut command = Command::new(CLIENT);
    command.arg("--config").arg(&*path).arg("--print-config").arg(OsStr::from_bytes(b"unix:/tmp/\xff"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let done = Program::spawn(command).finish_with("");
    assert_eq!(setting(&done, "password-file"), "# password-file is not set");
}

#[test]
fn what_is_typed_overrides_the_table_of_a_server() {
    let fake = FakeServer::start();
    let (port, name) = (fake.address.port().to_string(), "name = \"Bob\"\n");
    let text = format!("[servers.tcp]\nhost = \"127.0.0.1:1\"\n{name}[servers.path]\nunix = \"/no/such\"\n{name}");
    let path = file("typed", &text);
    let path = path.to_str().unwrap();
    let mut client = Program::start(CLIENT, ["--config", path, "tcp", "--port", &port]);
    drop(fake.accept("Bob"));
    client.finish();
    let why = format!("--port cannot be used with {path}, line 5: a socket file has no port and no TLS");
    assert_eq!(wrong(&run(CLIENT, &[], &["--config", path, "path", "--port", "1"])), why);
}

#[test]
fn a_server_in_the_file_does_not_get_the_password_of_the_environment() {
    let server = Server::start_with(password::config("settings-environment"));
    let text = format!("name = \"Bob\"\n[servers.home]\nhost = \"{}\"\n", server.address);
    let secret = password_file("settings-table", "open sesame\n");
    let join = |text: &str| {
        let path = file("password", text);
        let arguments = ["--config", path.to_str().unwrap(), "home"];
        run(CLIENT, &[("LINECHAT_PASSWORD", "open sesame")], &arguments)
    };
    let alone = join(&text);
    assert_eq!(alone.code, Some(1), "{}", alone.stderr);
    let with_file = join(&(text + &format!("password-file = {secret:?}\n")));
    assert_eq!(with_file.code, Some(0), "{}", with_file.stderr);
}

#[test]
fn the_client_joins_a_named_server_without_further_options() {
    let fake = FakeServer::start();
    let home = folder("home");
    fs::create_dir(home.join("linechat")).unwrap();
    let text = format!(
        "[servers.home]\nhost = \"127.0.0.1\"\nport = {}\nname = \"Bob\"\nroom = \"dev\"\n",
        fake.address.port()
    );
    fs::write(home.join("linechat").join("config.toml"), text).unwrap();
    let mut command = Command::new(CLIENT);
    let folder = if cfg!(windows) { "APPDATA" } else { "XDG_CONFIG_HOME" };
    command.env(folder, &*home).env_remove("LINECHAT_NAME").arg("home").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = Program::spawn(command);
    drop(fake.accept("Bob #dev"));
    assert_eq!(client.finish().code, Some(3));
}
