use super::*;
use crate::model::BadName;

#[test]
fn options_follow_the_name_in_any_order_and_case() {
    for (text, auth) in [
        ("Bob", false),
        (" Bob\t", false),
        ("\u{feff} Bob auth", true),
        ("Bob \t AUTH  ", true),
        ("Bob auth auth", true),
        ("Bob\u{a0}", false),
    ] {
        let name = Name::parse("Bob").map_err(Refusal::from);
        assert_eq!(LoginLine::parse(text), LoginLine { name, auth, options: JoinOptions::default() }, "{text:?}");
    }
    // Nobody is called after an option by mistake, but somebody may be called like one.
    assert_eq!(
        LoginLine::parse("auth"),
        LoginLine { name: Ok(Name::parse("auth").unwrap()), auth: false, options: JoinOptions::default() }
    );
}

#[test]
fn a_refused_name_does_not_hide_that_a_password_follows() {
    for (text, refusal, auth) in [
        (
            "Bob Smith",
            "names cannot contain spaces, and \"Smith\" is not an option; options are auth, #ROOM, ids=on, since=WHEN, last=N and replay=N",
            false,
        ),
        (
            "Bob \x1b auth",
            "names cannot contain spaces, and \"^[\" is not an option; options are auth, #ROOM, ids=on, since=WHEN, last=N and replay=N",
            true,
        ),
        ("B:b auth", "names cannot contain ':'", true),
        ("B:b Smith", "names cannot contain ':'", false),
        ("Bob\u{a0}auth", "names cannot contain spaces", false),
        (" ", "names need at least one character", false),
    ] {
        let line = LoginLine::parse(text);
        let refused = line.name.unwrap_err();
        assert_eq!((refused.to_string().as_str(), refused.code(), line.auth), (refusal, "bad-name", auth), "{text:?}");
    }
    assert_eq!(LoginLine::parse("").name, Err(Refusal::BadName(BadName::Empty)));
}

#[test]
fn history_options_are_read_and_the_last_of_several_counts() {
    let options = |text| {
        let line = LoginLine::parse(text);
        assert_eq!(line.name, Ok(Name::parse("Bob").unwrap()), "{text:?}");
        line.options
    };
    let all = JoinOptions {
        room: None,
        ids: Some(true),
        since: Some(Since::Number(88_120)),
        last: Some(20),
        replay: Some(0),
    };
    assert_eq!(options("Bob since=88120 ids=on replay=0 last=20"), all);
    assert_eq!(options("Bob LAST=20 auth Since=88120 IDS=off ids=ON replay=7 replay=0"), all);
    let ago = Some(Since::Ago(std::time::Duration::from_secs(7200)));
    assert_eq!(options("Bob since=2h"), JoinOptions { since: ago, ..JoinOptions::default() });
    let earlier = JoinOptions { ids: Some(false), last: Some(3), ..JoinOptions::default() };
    assert_eq!(options("Bob ids=on").or(earlier.clone()), JoinOptions { ids: Some(true), ..earlier });
}

#[test]
fn a_word_that_begins_with_a_hash_names_the_room() {
    let room = |text| {
        let line = LoginLine::parse(text);
        (line.name.map_err(|refusal| refusal.code()), line.options.room)
    };
    let (bob, dev) = (Ok(Name::parse("Bob").unwrap()), RoomName::parse("dev").ok());
    assert_eq!(room("Bob #dev since=88120 ids=on"), (bob.clone(), dev.clone()));
    assert_eq!(room("Bob #ops auth #dev"), (bob.clone(), dev.clone()));
    assert_eq!(room("Bob #lobby"), (bob.clone(), Some(RoomName::lobby())));
    assert_eq!(room("Bob"), (bob, None));
    for text in ["Bob #Dev", "Bob #", "Bob #-dev", "Bob ##dev", "Bob #dev #d_v", "Bob #d,v"] {
        assert_eq!(room(text).0, Err("bad-room"), "{text:?}");
    }
    // The first word is the name.
    assert_eq!(room("#dev Bob").0, Err("bad-name"));
    // A valid room stays in force for the next line, which can replace it.
    let again = |text| LoginLine::parse(text).options.or(LoginLine::parse("Alice #dev").options).room;
    assert_eq!(again("Bob"), dev);
    assert_eq!(again("Bob #lobby"), Some(RoomName::lobby()));
}

#[test]
fn invalid_options_are_refused_by_their_code() {
    for (text, code) in [
        ("Bob ids", "bad-name"),
        ("Bob ids=", "bad-option"),
        ("Bob ids=maybe", "bad-option"),
        ("Bob last=x", "bad-option"),
        ("Bob last=-1", "bad-option"),
        ("Bob last=+1", "bad-option"),
        ("Bob last=10001", "bad-option"),
        ("Bob replay=99999999999999999999", "bad-option"),
        ("Bob room=dev", "bad-option"),
        ("Bob =", "bad-option"),
        ("Bob since=", "bad-since"),
        ("Bob since=x", "bad-since"),
        ("Bob since=2", ""),
        ("Bob ids=maybe since=x", "bad-option"),
        ("B:b ids=maybe", "bad-name"),
    ] {
        assert_eq!(LoginLine::parse(text).name.err().map_or("", |refusal| refusal.code()), code, "{text:?}");
    }
    // It is a name, not an option.
    assert_eq!(LoginLine::parse("ids=on").name, Ok(Name::parse("ids=on").unwrap()));
}
