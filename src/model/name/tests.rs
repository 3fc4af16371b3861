use super::*;

fn name(name: &str) -> Name {
    Name::parse(name).unwrap_or_else(|fault| panic!("{name}: {fault}"))
}

#[test]
fn honest_names_of_the_world_pass() {
    for text in [
        "Bob",
        "Zoë",
        "Дмитрий",
        "山田",
        "مريم",
        "राम",
        "O'Neil",
        "anne-marie",
        "7of9",
        "R2_D2",
        "x",
        "Ελένη",
        "やまだ",
        "김민준",
        "สมชาย",
        "Nguyễn",
        "אברהם",
        "J.R.",
        "Łukasz",
    ] {
        assert_eq!(name(text).as_str(), text);
    }
    assert!(Name::parse(&"ä".repeat(NAME_CHARS)).is_ok());
}

#[test]
fn what_is_around_a_name_is_no_part_of_it() {
    assert_eq!(name("\u{feff} Bob\t").as_str(), "Bob");
}

#[test]
fn names_that_differ_in_case_width_or_normal_form_are_the_same() {
    for (one, other) in [
        ("BOB", "bob"),
        ("ДМИТРИЙ", "дмитрий"),
        ("\u{ff22}\u{ff4f}\u{ff42}", "bob"),
        ("Zoe\u{308}", "Zoë"),
        ("Ivan", "ivan"),
        ("Γιώργος", "ΓΙΏΡΓΟΣ"),
        ("STRAUSS", "Strauß"),
        ("i\u{307}gor", "igor"),
        ("İgor", "igor"),
        ("Ünal", "u\u{308}nal"),
    ] {
        assert_eq!(name(one), name(other));
    }
    assert_ne!(name("bob"), name("rob"));
    assert_ne!(name("Zoe"), name("Zoë"));
}

#[test]
fn a_name_that_could_forge_a_line_is_refused() {
    use BadName::*;
    for (name, fault) in [
        ("", Empty),
        (" \t", Empty),
        ("*", Reserved('*')),
        ("! full:", Reserved('!')),
        ("Bob:", Reserved(':')),
        ("Bob\u{ff1a}", Reserved(':')),
        ("Bob (privately)", Blank),
        ("Bob(privately)", Reserved('(')),
        ("a\u{a0}b", Blank),
        ("/quit", Reserved('/')),
        ("_bob", Start),
        ("\u{301}bob", Start),
        ("bob\x1b[1m", Invisible('\x1b')),
        ("bob\u{202e}", Invisible('\u{202e}')),
        ("bob\u{200d}", Invisible('\u{200d}')),
        ("bob☃", NotIdentifier),
        ("\u{1d401}ob", NotIdentifier),
    ] {
        assert_eq!(Name::parse(name), Err(fault), "{name:?}");
    }
    assert_eq!(Name::parse(&"x".repeat(NAME_CHARS + 1)), Err(TooLong));
    assert_eq!(Name::parse(&"क़".repeat(NAME_CHARS / 2 + 1)), Err(TooLong), "NFC makes two characters of each");
    let marks = |count| Name::parse(&format!("x{}", "\u{301}".repeat(count)));
    assert!(marks(MARKS_IN_A_ROW).is_ok());
    assert_eq!(marks(MARKS_IN_A_ROW + 1), Err(TooManyMarks));
    assert_eq!(Name::parse(&"山".repeat(NAME_CHARS / 2 + 1)), Err(TooLong), "wide characters fill two columns");
}

#[test]
fn names_that_look_alike_in_any_case_are_the_same() {
    // Some are wholly Cyrillic or Greek, so the scripts are not mixed.
    for (twin, original) in [
        ("сору", "copy"),
        ("РОТАТО", "POTATO"),
        ("ΑΝΝΑ", "Anna"),
        ("rnary", "mary"),
        ("clavicl", "David"),
        ("vvendy", "Wendy"),
        ("B0b", "Bob"),
        ("lvan", "Ivan"),
        ("1van", "ivan"),
        ("aIice", "alice"),
        ("aiice", "alice"),
    ] {
        assert_eq!(name(twin), name(original));
    }
    for (one, other) in [("Alice", "Alina"), ("Ana", "Ava"), ("Dan", "Ben"), ("Sam", "Fam")] {
        assert_ne!(name(one), name(other));
    }
    assert_eq!(Name::parse("сanary"), Err(BadName::MixedScripts));
}

/// Over all of Unicode, alone and between letters.
#[test]
fn the_identity_depends_on_neither_case_nor_normal_form_nor_width_and_is_its_own() {
    for char in '\0'..=char::MAX {
        let is_letter = char.is_alphanumeric();
        let char = char.to_string();
        let mut forms = vec![
            char.to_uppercase(),
            char.to_lowercase(),
            char.to_uppercase().to_lowercase(),
            char.nfc().collect(),
            char.nfd().collect(),
            char.nfkc().collect(),
            char.nfkd().collect(),
        ];
        forms.retain(|form| *form != char);
        if !is_letter && forms.is_empty() {
            continue; // Nothing is to be compared, and it is in no name.
        }
        let expected = identity(&char);
        assert_eq!(identity(&expected), expected, "{char:?}");
        for form in forms {
            assert_eq!(identity(&form), expected, "{char:?} and {form:?}");
            assert_eq!(identity(&format!("x{form}i")), identity(&format!("x{char}i")), "{char:?} and {form:?}");
        }
    }
}

/// The whole table of UTS 39, as far as both may be in a name.
#[test]
fn a_letter_and_what_it_is_confused_with_have_the_same_identity() {
    // Letters whose capital and small letter look like two different letters; see `identity`. With a mark or an
    // apostrophe that UTS 39 draws in a letter, or with a iota below, which is written after the letter in capitals.
    const EITHER: &str = "νυϋύΰβηήΣГЃҐҒБѓĐÐƁƊƉƑƘƳɄɍҲԻՄՊՌՓյᾠᾡᾢᾣᾤᾥᾦᾧᾲᾳᾴ";
    let (mut twins, mut different) = (0, Vec::new());
    for char in '\0'..=char::MAX {
        let twin: String = skeleton(&char.to_string()).collect();
        if twin == char.to_string() || Name::parse(&char.to_string()).is_err() {
            continue;
        }
        twins += 1;
        if identity(&twin) != identity(&char.to_string()) && !char.nfc().all(|char| EITHER.contains(char)) {
            different.push(char);
        }
    }
    assert!(twins > 1000, "only {twins} were tried");
    assert_eq!(different, []);
}

#[test]
fn nobody_is_the_server_or_looks_it() {
    for word in ["Server", "ADMIN", "everyone", "GET", "aLL", "\u{ff41}dmin"] {
        assert_eq!(Name::parse(word), Err(BadName::ReservedWord), "{word}");
    }
    for twin in [
        "r00t",
        "R00T",
        "rnoderator",
        "a1l",
        "Al1",
        "AlI",
        "AII",
        "cIient",
        "CLlENT",
        "nuII",
        "NU11",
        "ADMlN",
        "\u{ff41}\u{ff4c}\u{ff11}",
        "аll",
        "НОЅТ",
        "НоЅТ",
        "РОЅТ",
        "ΡΙΝG",
        "ΑLL",
    ] {
        assert!(Name::parse(twin).is_err(), "{twin}");
    }
}

#[test]
fn a_name_is_not_refused_for_a_word_that_it_looks_like_in_another_case_only() {
    for text in ["ALI", "Ali", "ali", "Ian", "Lan", "PlNG1", "Al", "Neil", "Bill", "Iris"] {
        assert_eq!(name(text).as_str(), text);
    }
}

#[test]
fn the_signs_of_a_name_are_those_of_ascii() {
    assert_eq!(Name::parse("O\u{2019}Neil"), Err(BadName::NotIdentifier));
}

#[test]
fn nobody_begins_like_a_secure_shell() {
    for name in ["SSH-2.0-x", "ssh-susi", "Ssh-", "ＳＳＨ-x"] {
        assert_eq!(Name::parse(name), Err(BadName::Banner), "{name}");
    }
    assert!(Name::parse("sshd").is_ok());
}

#[test]
fn a_refusal_never_repeats_a_dangerous_character() {
    assert_eq!(BadName::Invisible('\x1b').to_string(), "names cannot contain the character U+001B");
}

#[test]
fn every_scalar_value_as_a_name_is_refused_or_safe() {
    let mut accepted = 0;
    for char in '\0'..=char::MAX {
        for text in [format!("{char}"), format!("x{char}x")] {
            let Ok(name) = Name::parse(&text) else { continue };
            accepted += 1;
            assert!(!name.as_str().contains(|char| is_unsafe(char) || char.is_whitespace()), "{char:?}");
            assert!(!name.as_str().contains([':', '*', '!', '<', '>', '(', ')', '/', ',']), "{char:?}");
            assert_eq!(Name::parse(name.folded()).as_ref().map(Name::folded), Ok(name.folded()), "{char:?}");
        }
    }
    assert!(accepted > 60_000, "only {accepted} were accepted");
}
