//! The methods in their order, and the SAFECOOKIE arithmetic against its vectors. The dialogue is in `tor/tests`.

use super::*;
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../tests/vectors/control.json")).unwrap()
}

fn octets(value: &Value) -> [u8; 32] {
    HEXUPPER_PERMISSIVE.decode(value.as_str().unwrap().as_bytes()).unwrap().try_into().unwrap()
}

fn config(password: bool, allow_plain_cookie: bool) -> TorConfig {
    let password = password.then(|| Arc::new(Password::new(Zeroizing::new(b"a\"b".to_vec()))));
    TorConfig { control: "127.0.0.1:9051".parse().unwrap(), password, allow_plain_cookie }
}

/// The reply that offers these methods.
fn offer(methods: &str, file: Option<&str>) -> Offer {
    let file = file.map_or_else(String::new, |file| format!(" COOKIEFILE=\"{file}\""));
    let lines = ["PROTOCOLINFO 1", &format!("AUTH METHODS={methods}{file}"), "FUTURE x", "OK"];
    Offer::parse(&Reply { code: 250, lines: lines.map(str::to_owned).to_vec() }).unwrap()
}

/// The name of the method that is chosen.
fn chosen(offer: &Offer, config: &TorConfig) -> Result<&'static str, TorError> {
    offer.choose(config).map(|method| match method {
        Method::SafeCookie(_) => "safe",
        Method::Password(_) => "password",
        Method::Null => "null",
        Method::PlainCookie(_) => "plain",
    })
}

#[test]
fn safecookie_vector_agrees_and_a_wrong_server_hash_gets_nothing() {
    let vectors = vectors();
    let row = &vectors["safecookie"];
    let cookie = || Cookie(Zeroizing::new(octets(&row["cookie"])));
    let client = Nonce(octets(&row["client_nonce"]));
    let hash = row["server_hash"].as_str().unwrap();
    let nonce = row["server_nonce"].as_str().unwrap();
    let line = format!("AUTHCHALLENGE SERVERHASH={hash} SERVERNONCE={nonce}");
    let config = config(false, false);
    assert_eq!(answer(&cookie(), client, &line, &config).unwrap().0, octets(&row["client_hash"]));
    let lower = line.to_lowercase().replace("authchallenge serverhash", "AUTHCHALLENGE SERVERHASH");
    let lower = lower.replace("servernonce", "SERVERNONCE");
    assert!(answer(&cookie(), client, &lower, &config).is_ok());
    for wrong in
        [line.replace("FC0B", "FC0C"), line.replace(hash, &"0".repeat(64)), line.replace("333333", "333332")]
    {
        assert!(
            matches!(answer(&cookie(), client, &wrong, &config), Err(TorError::Impostor { .. })),
            "{wrong}"
        );
    }
    for malformed in [line.replace("FC0B", ""), line.replace("SERVERNONCE", "NONCE"), String::new()] {
        assert!(matches!(answer(&cookie(), client, &malformed, &config), Err(TorError::NotTor { .. })));
    }
}

#[test]
fn methods_are_chosen_in_their_order() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [1; 32]).unwrap();
    let path = file.path().to_str().unwrap();
    let all = offer("COOKIE,SAFECOOKIE,HASHEDPASSWORD,NULL", Some(path));
    assert_eq!(chosen(&all, &config(true, true)).unwrap(), "safe");
    let no_file = offer("COOKIE,SAFECOOKIE,HASHEDPASSWORD", Some("/nonexistent/cookie"));
    assert_eq!(chosen(&no_file, &config(true, true)).unwrap(), "password");
    assert!(matches!(chosen(&no_file, &config(false, true)), Err(TorError::CookieUnreadable { .. })));
    assert_eq!(chosen(&offer("HASHEDPASSWORD,NULL", None), &config(false, false)).unwrap(), "null");
    assert_eq!(chosen(&offer("NULL", None), &config(true, true)).unwrap(), "null");
}

#[test]
fn the_bare_cookie_goes_out_only_when_allowed_and_nothing_better_is_offered() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [1; 32]).unwrap();
    let plain = offer("COOKIE", file.path().to_str());
    assert_eq!(chosen(&plain, &config(false, true)).unwrap(), "plain");
    let refused = chosen(&plain, &config(false, false)).unwrap_err();
    assert!(matches!(refused, TorError::NoMethod { .. }), "{refused}");
    assert!(matches!(
        chosen(&offer("HASHEDPASSWORD", None), &config(false, true)),
        Err(TorError::NoMethod { .. })
    ));
}

#[test]
fn protocolinfo_of_the_vectors_is_read_and_other_answers_are_not() {
    let vectors = vectors();
    let row = &vectors["observed"]["lines"][0];
    assert_eq!(row["cmd"], "PROTOCOLINFO 1");
    let lines = row["reply"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap().get(4..).unwrap().to_owned());
    let offer = Offer::parse(&Reply { code: 250, lines: lines.collect() }).unwrap();
    assert!(offer.has("COOKIE") && offer.has("SAFECOOKIE") && !offer.has("NULL") && !offer.has("SAFE"));
    assert_eq!(offer.cookie_file, Some(PathBuf::from("PATH")));
    for bad in ["OK", "AUTH", "AUTH METHOD=NULL", "AUTH METHODS=\"open"] {
        assert_eq!(Offer::parse(&Reply { code: 250, lines: vec![bad.to_owned()] }), None, "{bad}");
    }
}

#[test]
fn the_password_is_sent_in_hex() {
    assert_eq!(&*hex_command(b"a\"b"), b"AUTHENTICATE 612262\r\n");
}
