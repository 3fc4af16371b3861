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
        assert_eq!(LoginLine::parse(text), LoginLine { name, auth }, "{text:?}");
    }
    // Nobody is called after an option by mistake, but somebody may be called like one.
    assert_eq!(LoginLine::parse("auth"), LoginLine { name: Ok(Name::parse("auth").unwrap()), auth: false });
}

#[test]
fn a_refused_name_does_not_hide_that_a_password_follows() {
    for (text, refusal, auth) in [
        ("Bob Smith", "names cannot contain spaces, and \"Smith\" is not an option; the only option is auth", false),
        ("Bob \x1b auth", "names cannot contain spaces, and \"^[\" is not an option; the only option is auth", true),
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
