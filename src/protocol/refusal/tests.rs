use super::*;

fn safe(text: &str) -> SafeText {
    SafeText::new(text.to_owned())
}

/// The wording is tested here only. Other tests compare codes and fields.
#[test]
fn every_refusal_has_its_code_and_wording() {
    let (bob, copy) = (|| safe("Bob"), || safe("copy"));
    let dev = || RoomName::parse("dev").unwrap();
    let table = [
        (Refusal::BadName(BadName::Blank), "bad-name: names cannot contain spaces"),
        (
            Refusal::UnknownOption(safe("x")),
            "bad-name: names cannot contain spaces, and \"x\" is not an option; options are auth, #ROOM, ids=on, \
             since=WHEN, last=N and replay=N",
        ),
        (
            Refusal::BadOption(safe("x=1")),
            "bad-option: \"x=1\" is not an option; options are auth, #ROOM, ids=on, since=WHEN, last=N and replay=N",
        ),
        (Refusal::BadSince(88_390), "bad-since: the newest is 88390"),
        (
            Refusal::UnreadableSince,
            "bad-since: write the number of a message, a duration such as 2h, or a time such as 12:03 (UTC)",
        ),
        (Refusal::NoHistory, "no-history: this server does not record messages"),
        (Refusal::HistoryFailed, "history-failed: the server cannot read its history; try again later"),
        (Refusal::TooManySearches, "busy: too many searches are running; try again in a moment"),
        (Refusal::TooManyReplays, "busy: wait for the messages that you have asked for already"),
        (Refusal::MessageNotKept, "not-kept: the server could not store this message; it was not sent"),
        (Refusal::NameTaken(bob()), "name-taken: Bob is taken"),
        (
            Refusal::NameLooksTaken { name: safe("c0py"), holder: copy() },
            "name-taken: c0py looks like copy, which is taken",
        ),
        (Refusal::TooManyTries, "too-many-tries: 3 names were refused; reconnect to try another"),
        (Refusal::Nameless, "too-many-tries: received 65536 bytes without a name; reconnect and send your name first"),
        (Refusal::LineTooLong, "line-too-long: lines are limited to 4096 bytes; this line was not sent"),
        (Refusal::Endless, "line-too-long: no line ending within 65536 bytes; closing the connection"),
        (Refusal::LongLines, "line-too-long: 3 lines within 60 s were too long; closing the connection"),
        (
            Refusal::WrongProtocol(OtherProtocol::Http),
            "wrong-protocol: this is a plain-text chat server that does not speak HTTP; try nc",
        ),
        (Refusal::PasswordRequired, "password-required: send the password as the next line"),
        (
            Refusal::OwnersPasswordRequired { name: safe("c0py"), owner: copy() },
            "password-required: c0py looks like copy, which is registered; if it is yours, send its password as the next line",
        ),
        (Refusal::WrongPassword, "wrong-password: incorrect password"),
        (
            Refusal::TooManyPasswords,
            "too-many-tries: 3 passwords were incorrect; wait a minute, then reconnect to try again",
        ),
        (Refusal::PasswordTimeout, "login-timeout: no password received within 30 s; reconnect to try again"),
        (
            Refusal::Unprotected,
            "unprotected: a password is required, but others could read it on this connection; use linechat --tls or \
             openssl s_client with the TLS port",
        ),
        (
            Refusal::Penalized(7),
            "penalized: too many wrong passwords or registrations from your address; try again in 7 s",
        ),
        (Refusal::Discarded(1), "discarded: discarded 1 line sent after it, because they might be passwords"),
        (
            Refusal::UnfinishedPassword,
            "discarded: passwords must end with a line ending; discarded the unfinished line",
        ),
        (Refusal::Busy, "busy: too many passwords are being checked; try again in a moment"),
        (
            Refusal::BadPassword(BadSecret::TooShort),
            "bad-password: passwords need at least 8 characters; nothing was changed",
        ),
        (Refusal::PasswordsDiffer, "passwords-differ: the two passwords do not match; nothing was changed"),
        (
            Refusal::NameRegistered(bob()),
            "name-registered: Bob is registered; if it is yours, reconnect with that name and its password",
        ),
        (
            Refusal::NameLooksRegistered { name: safe("c0py"), owner: copy() },
            "name-registered: c0py looks like copy, which is registered",
        ),
        (Refusal::RegisteredOnly, "registered-only: on this server you can only use your registered name"),
        (
            Refusal::AlreadyRegistered(Name::parse("Bob").unwrap()),
            "already-registered: you have already registered Bob; use /password to change its password",
        ),
        (Refusal::NotRegistered, "not-registered: you have no registered name; use /register to register yours"),
        (Refusal::NoSuchAccount(bob()), "not-registered: Bob is not registered"),
        (Refusal::NoAccounts, "no-registry: this server does not support registered names"),
        (Refusal::NotKept, "not-kept: the server could not save it; nothing was changed"),
        (
            Refusal::CloseNotKept(RoomName::parse("dev").unwrap()),
            "not-kept: dev is closed, but the server could not save that; after a restart the room may be back",
        ),
        (Refusal::AccountsFull, "not-kept: there are too many already; nothing was changed"),
        (Refusal::NotOperator, "not-operator: only operators can do that"),
        (Refusal::Suspended(safe("you are muted")), "not-operator: you are muted"),
        (
            Refusal::BadTime,
            "bad-arguments: invalid duration: write 30m, 2 hours or 7 days (at most 10 years); a reason must start with \
             a word",
        ),
        (Refusal::BadDuration, "bad-arguments: invalid duration: write 30m, 2 hours or 7 days (at most 10 years)"),
        (Refusal::IsSelf, "bad-arguments: you cannot do that to yourself"),
        (Refusal::NotSanctioned(safe("Bob is not muted")), "not-sanctioned: Bob is not muted"),
        (Refusal::Kicked(safe("you were kicked")), "kicked: you were kicked"),
        (Refusal::Banned(safe("you are banned")), "banned: you are banned"),
        (Refusal::Muted(safe("you are muted")), "muted: you are muted"),
        (Refusal::Replaced, "replaced: you logged in from another connection"),
        (Refusal::NotTls, "wrong-protocol: this port requires TLS; try linechat --tls, openssl s_client or ncat --ssl"),
        (Refusal::NotUtf8, "not-utf8: lines must be valid UTF-8; this line was not sent"),
        (
            Refusal::UnknownCommand(safe("/mgs")),
            "unknown-command: unknown command /mgs; see /help, or type // to start a message with /",
        ),
        (Refusal::BadArguments("/nick NEWNAME"), "bad-arguments: usage: /nick NEWNAME"),
        (
            Refusal::BadNetwork(InvalidNetwork),
            "bad-arguments: invalid address: write 192.0.2.1, 2001:db8::/64, fe80::1%2 or user:1000",
        ),
        (Refusal::NoSuchUser(bob()), "no-such-user: nobody on this server is called Bob"),
        (Refusal::Ignored(bob()), "ignored: Bob ignores you"),
        (Refusal::IgnoresSelf, "bad-arguments: you cannot ignore yourself"),
        (Refusal::TooManyIgnored, "too-many-ignored: you already ignore 100 names; /unignore one of them first"),
        (Refusal::NotIgnored(bob()), "not-ignored: you are not ignoring Bob; /ignore lists the names you ignore"),
        (
            Refusal::BadRoom(BadRoomName),
            "bad-room: room names have 1 to 32 characters: a-z, 0-9 and -, first a letter or digit",
        ),
        (Refusal::NoSuchRoom(dev()), "no-such-room: there is no room called dev"),
        (
            Refusal::RoomsAreFixed(dev()),
            "no-such-room: there is no room called dev, and nobody can open rooms here; /rooms lists them",
        ),
        (Refusal::OnlyRegisteredOpenRooms, "registered-only: only registered names can open rooms here"),
        (Refusal::NotHearing(dev()), "not-hearing: you do not hear dev; /hear dev first"),
        (
            Refusal::NotAlsoHearing(dev()),
            "not-hearing: dev is not among the rooms that you also hear; /hear lists them",
        ),
        (Refusal::TooManyRooms, "too-many-rooms: there are too many rooms already"),
        (Refusal::TooManyHeard, "too-many-rooms: you already hear 8 rooms; /deaf one of them first"),
        (Refusal::CannotClose, "bad-arguments: the lobby cannot be closed"),
        (Refusal::ServerFull, "server-full: the server is full; try again later"),
        (Refusal::SourceFull, "server-full: too many connections from your address"),
        (
            Refusal::Evicted,
            "server-full: too many connections are waiting to give a name; reconnect and send yours at once",
        ),
        (Refusal::LoginTimeout, "login-timeout: no name received within 30 s; reconnect to try again"),
        (Refusal::ShuttingDown, "shutting-down: the server is shutting down"),
    ];
    for (refusal, line) in &table {
        assert_eq!(format!("{}: {refusal}", refusal.code()), *line);
    }
    assert_eq!(Refusal::Discarded(2).to_string(), "discarded 2 lines sent after it, because they might be passwords");
    let variants = include_str!("../refusal.rs").matches("    #[error(").count();
    assert_eq!(table.len(), variants, "a refusal is missing in the table");
}
