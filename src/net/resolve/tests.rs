use super::*;

#[test]
fn an_ipv6_address_may_stand_in_brackets() {
    for host in ["[::1]", "::1"] {
        assert_eq!(resolve(host, 7).unwrap(), ["[::1]:7".parse().unwrap()]);
    }
}

#[test]
fn a_host_that_does_not_exist_is_an_error() {
    assert!(resolve("no.such.host.invalid", 7).is_err());
}

#[test]
fn an_ipv4_address_may_have_any_form_that_resolvers_take() {
    for host in ["127.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "１２７.0.0.1"] {
        assert_eq!(resolve(host, 7).unwrap(), ["127.0.0.1:7".parse().unwrap()], "{host}");
    }
}

#[test]
fn an_internationalised_name_is_looked_up_in_its_ascii_form() {
    // The letters are those of full width, which IDNA takes for the usual ones.
    assert_eq!(resolve("ｌｏｃａｌｈｏｓｔ", 7).unwrap(), resolve("localhost", 7).unwrap());
}

#[test]
fn a_certificate_has_a_name_in_ascii_and_an_address_without_its_zone() {
    for (host, name) in [
        ("chat.example", "chat.example"),
        ("chat.example.", "chat.example"),
        ("my_host", "my_host"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER。example.", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%2]", "fe80::1"),
    ] {
        assert_eq!(server_name(host).unwrap().to_str(), name, "{host}");
    }
    for host in ["", "1.2.3.4.5", "a b", "-a.example", "a..example", "chat.example%eth0", "fe80::g%eth0"] {
        assert!(server_name(host).is_err(), "{host}");
    }
}
