//! Configurations that are good, and every way to be wrong at once.

use super::*;
use crate::pin::PinSource;
use crate::seal::SealKind;

/// A configuration with all that is required.
const SMALL: &str = "state_dir = \"/var/lib/x\"\nsocket = \"/run/x.sock\"\n[token]\nmodule = \"/usr/lib/m.so\"\n\
label = \"onionkeep\"\npin = \"prompt\"\n";
/// Some address.
const ADDRESS: &str = "aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead.onion";

fn lines(text: &str) -> Vec<String> {
    Config::parse(text, Depth::Text).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn small_configuration_has_the_documented_defaults() {
    let config = Config::parse(SMALL, Depth::Text).unwrap();
    assert_eq!((config.socket_mode, config.socket_group), (0o660, None));
    assert_eq!(config.periods, PeriodRule::PUBLIC);
    assert_eq!(config.memory_lock, MemoryLock::Required);
    assert!(matches!(config.serial(), Err(ConfigError::Missing(_))));
}

#[test]
fn full_configuration_is_read() {
    let text = format!(
        "socket_mode = \"0600\"\nsocket_group = \"root\"\nmemory_lock = \"if-possible\"\n{SMALL}serial = \"1a2b\"\n\
         so_pin = \"credential:so\"\n[[onion]]\naddress = \"{ADDRESS}\"\nuser = \"root\"\n[[onion]]\n\
         address = \"{ADDRESS}\"\nuid = 997\n[period]\nlength_minutes = 8\noffset_minutes = 4\n"
    );
    let config = Config::parse(&text, Depth::Text).unwrap();
    assert_eq!((config.socket_mode, config.socket_group), (0o600, Some(0)));
    assert_eq!(config.memory_lock, MemoryLock::IfPossible);
    assert_eq!(config.serial().unwrap(), "1a2b");
    assert_eq!(config.grants.iter().map(|grant| grant.uid).collect::<Vec<_>>(), [0, 997]);
    assert_eq!((config.periods.length.minutes(), config.periods.offset), (8, Minutes(4)));
}

#[test]
fn every_problem_is_found_at_once() {
    let text = "state_dir = \"relative\"\nsocket = \"/s\"\nsocket_mod = \"0660\"\nsocket_group = \"no such group\"\n\
                memory_lock = \"maybe\"\n[token]\nmodule = \"/m\"\nlabel = \"\"\npin = \"1234\"\n[[onion]]\n\
                address = \"abc.onion\"\nuid = 1\nuser = \"root\"\n[period]\nlength_minutes = 0\n";
    let problems = lines(text);
    for wanted in [
        "line 1: state_dir: wanted is a path",
        "line 3: unknown key `socket_mod` in the top level; did you mean `socket_mode`?",
        "line 4: socket_group: there is no group",
        "line 5: memory_lock",
        "line 8: label",
        "line 9: pin: wanted is \"file:",
        "line 11: address: an onion address has 56",
        "line 13: uid and user",
        "line 15: length_minutes",
    ] {
        assert!(problems.iter().any(|line| line.starts_with(wanted)), "{wanted}: {problems:#?}");
    }
    assert_eq!(problems.len(), 9, "{problems:#?}");
}

#[test]
fn an_inline_pin_is_not_repeated_in_the_problem() {
    let problems = lines(&SMALL.replace("prompt", "sesame-opens"));
    assert!(problems.iter().all(|line| !line.contains("sesame")), "{problems:?}");
}

#[test]
fn an_onion_twice_for_one_peer_and_one_without_peer_are_problems() {
    let onion = format!("[[onion]]\naddress = \"{ADDRESS}\"\n");
    assert!(lines(&format!("{SMALL}{onion}"))[0].contains("needs uid or user"));
    let both = format!("{SMALL}{onion}uid = 1\n{onion}uid = 1\n");
    assert!(lines(&both)[0].contains("already stands here"));
}

#[test]
fn modes_that_lock_the_owner_out_are_problems() {
    for mode in ["066", "888", "01777", "x", ""] {
        assert!(lines(&format!("socket_mode = \"{mode}\"\n{SMALL}"))[0].contains("octal"), "{mode}");
    }
}

#[test]
fn the_world_is_looked_at_only_when_asked() {
    let text = SMALL.replace("prompt", "file:/nonexistent/pin");
    assert!(Config::parse(&text, Depth::Text).is_ok());
    let problems = Config::parse(&text, Depth::World).unwrap_err().to_string();
    for wanted in
        ["line 1: state_dir: there is no", "line 4: module: there is no", "line 6: pin: /nonexistent"]
    {
        assert!(problems.contains(wanted), "{wanted}: {problems}");
    }
}

/// `SMALL` with another `[token]`.
fn with_token(token: &str) -> String {
    format!("state_dir = \"/var/lib/x\"\nsocket = \"/run/x.sock\"\n[token]\n{token}\n")
}

#[test]
fn a_uri_says_what_the_keys_say() {
    let text = with_token(
        "uri = \"pkcs11:token=my%20keep;serial=1a;model=M;manufacturer=F?module-path=/m.so&pin-source=file:/pin\"",
    );
    let config = Config::parse(&text, Depth::Text).unwrap();
    let which = config.which().unwrap();
    assert_eq!((which.name.label.as_str(), which.name.serial.as_str()), ("my keep", "1a"));
    assert_eq!((which.manufacturer.as_deref(), which.model.as_deref()), (Some("F"), Some("M")));
    assert_eq!(config.token.module, Path::new("/m.so"));
    assert_eq!(config.token.pin, PinSource::File("/pin".into()));
    let beside =
        with_token("uri = \"pkcs11:token=t\"\nmodule = \"/m.so\"\npin = \"prompt\"\nso_pin = \"prompt\"");
    let token = Config::parse(&beside, Depth::Text).unwrap().token;
    assert_eq!((token.pin, token.so_pin), (PinSource::Prompt, Some(PinSource::Prompt)));
}

#[test]
fn a_uri_and_keys_that_say_the_same_are_problems() {
    let uri = "uri = \"pkcs11:token=t;serial=1?module-path=/m.so&pin-source=prompt\"";
    for key in ["label", "serial", "manufacturer", "model", "module", "pin"] {
        let problems = lines(&with_token(&format!("{uri}\n{key} = \"/x\"")));
        assert!(problems.iter().any(|line| line.contains("side by side")), "{key}: {problems:?}");
        assert!(problems.iter().all(|line| line.starts_with("line 5: ")), "{problems:?}");
    }
    let missing = lines(&with_token("uri = \"pkcs11:token=t\""));
    assert!(missing.iter().any(|line| line.contains("module")), "{missing:?}");
    assert!(missing.iter().any(|line| line.contains("pin")), "{missing:?}");
}

#[test]
fn a_bad_uri_is_one_problem_that_repeats_no_value() {
    let uri = "uri = \"pkcs11:token=t?module-path=/m.so&pin-value=sesame\"";
    let problems = lines(&with_token(uri));
    assert!(problems.len() == 1 && problems[0].contains("line 4: uri: pin-value"), "{problems:?}");
    assert!(!problems[0].contains("sesame"));
}

#[test]
fn the_kind_of_seal_is_read_and_hmac_without_it() {
    let seal = |text: &str| Config::parse(text, Depth::Text).map(|config| config.token.seal);
    assert_eq!(seal(SMALL).unwrap(), SealKind::HmacSha256);
    assert_eq!(seal(&format!("{SMALL}seal = \"oaep\"")).unwrap(), SealKind::RsaOaep);
    assert_eq!(seal(&format!("{SMALL}seal = \"ecdh-p256\"")).unwrap(), SealKind::EcdhP256);
    assert!(lines(&format!("{SMALL}seal = \"gcm\""))[0].contains("line 7: seal: wanted is \"hmac\""));
}

#[test]
fn a_serial_of_zeros_needs_manufacturer_or_model() {
    let zeros = format!("{SMALL}serial = \"0000000000000000\"\n");
    assert!(lines(&zeros)[0].contains("tells no token from another"), "{:?}", lines(&zeros));
    assert!(Config::parse(&format!("{zeros}model = \"TPM\"\n"), Depth::Text).is_ok());
    assert!(Config::parse(&format!("{SMALL}serial = \"0100\"\n"), Depth::Text).is_ok());
    let uri = "uri = \"pkcs11:token=t;serial=000?module-path=/m.so&pin-source=prompt\"";
    assert!(lines(&with_token(uri))[0].starts_with("line 4: uri: a serial number of zeros"));
}

#[test]
fn the_sandbox_follows_the_module_unless_it_is_written() {
    let confine = |text: &str| Config::parse(text, Depth::Text).unwrap().token.confine;
    assert_eq!(confine(SMALL), Confine { profile: Profile::Generic, paths: Vec::new() });
    let softhsm = SMALL.replace("/m.so", "/softhsm/libsofthsm2.so");
    assert_eq!(confine(&softhsm).profile, Profile::SoftHsm);
    for (word, profile) in
        [("softhsm", Profile::SoftHsm), ("generic", Profile::Generic), ("usb", Profile::Usb)]
    {
        assert_eq!(confine(&format!("{softhsm}sandbox = \"{word}\"\n")).profile, profile);
    }
    let paths = confine(&format!("{SMALL}paths = [\"/var/lib/vendor\", \"/run/vendor/x\"]\n")).paths;
    assert_eq!(paths, [Path::new("/var/lib/vendor"), Path::new("/run/vendor/x")]);
    let uri =
        "uri = \"pkcs11:token=t?module-path=/libsofthsm2.so&pin-source=prompt\"\npaths = [\"/var/lib/v\"]";
    let confined = Config::parse(&with_token(uri), Depth::Text).unwrap().token.confine;
    assert_eq!((confined.profile, confined.paths.len()), (Profile::SoftHsm, 1));
}

#[test]
fn an_unknown_sandbox_and_paths_that_give_too_much_are_problems() {
    let problem = |line: &str| lines(&format!("{SMALL}{line}\n"));
    assert!(problem("sandbox = \"none\"")[0].contains("line 7: sandbox: wanted is \"softhsm\""));
    for (paths, wanted) in [
        ("\"/var/lib/vendor\"", "wanted is texts in quotes"),
        ("[1]", "wanted is texts in quotes"),
        ("[\"var/lib\"]", "starts with /"),
        ("[\"/var/lib/../../etc\"]", "without .."),
        ("[\"/\"]", "too much"),
        ("[\"/var\"]", "too much"),
        ("[\"/etc/onionkeep\"]", "nothing in /etc"),
        ("[\"/usr/lib/x\"]", "nothing in /usr"),
        ("[\"/proc/self\"]", "nothing in /proc"),
        ("[\"/var/lib/x\"]", "must not reach the ledger"),
        ("[\"/var/lib\"]", "must not reach the ledger"),
        ("[\"/var/lib/x/below\"]", "must not reach the ledger"),
    ] {
        let problems = problem(&format!("paths = {paths}"));
        assert!(problems.len() == 1 && problems[0].contains(wanted), "{paths}: {problems:?}");
        assert!(problems[0].starts_with("line 7: paths: "), "{problems:?}");
    }
    let many = "\"/opt/v/x\",".repeat(17);
    assert!(problem(&format!("paths = [{many}]"))[0].contains("at most 16"));
}

#[test]
fn check_config_looks_for_the_paths() {
    let text = format!("{SMALL}paths = [\"/nonexistent/vendor\"]\n");
    assert!(Config::parse(&text, Depth::Text).is_ok());
    let problems = Config::parse(&text, Depth::World).unwrap_err().to_string();
    assert!(problems.contains("line 7: paths: there is no /nonexistent/vendor"), "{problems}");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(\\[?\\[?(token|onion|period|socket|pin)\\]?\\]?( = [\"0-9a-z]{0,9})?\n){0,9}") {
        let _unused = Config::parse(&text, Depth::World);
    }
}
