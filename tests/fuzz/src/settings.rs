//! Targets for the configurations: the shared TOML reader, the signer's and the publisher's file.

use onionkeep_common::OnionAddress;
use onionkeep_common::config::{Problems, Section, read};
use onionkeep_signer::token::uri::TokenUri;

/// Every kind of reader that a section has.
fn look(section: &Section<'_, '_>) -> Option<usize> {
    let word = section.required_text("word");
    let flag = section.truth("flag");
    let number = section.number("number", 1..=1000);
    let address: Option<OnionAddress> = section.parsed("address");
    let number = usize::try_from(number.unwrap_or(0)).unwrap();
    word.map(|word| word.len() + number + usize::from(flag.is_some() || address.is_some()))
}

/// Every problem has a line of the text, and there is at least one if nothing was read; never "accepted".
fn check(text: &str, problems: &Problems) -> bool {
    let last = text.split('\n').count();
    assert!(!problems.0.is_empty());
    assert!(problems.0.iter().all(|problem| (1..=last).contains(&problem.line)), "{problems}");
    assert!(problems.0.is_sorted());
    false
}

/// The shared reader.
pub fn common(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    let keys = ["word", "flag", "number", "address"];
    let top = ["word", "flag", "number", "address", "one", "many"];
    let found = read(text, &top, |top| {
        let inner = top.section("one", &keys).map(|one| look(&one));
        let many: Vec<_> = top.sections("many", &keys).iter().map(look).collect();
        Some((look(top)?, inner, many))
    });
    match found {
        Ok((sum, _inner, _many)) => sum <= text.len() + 1001,
        Err(problems) => check(text, &problems),
    }
}

/// The signer's file, as text alone.
pub fn signer(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    match onionkeep_signer::config::Config::parse(text, onionkeep_signer::config::Depth::Text) {
        Ok(config) => {
            assert!(config.state_dir.is_absolute() && config.socket.is_absolute());
            assert!(config.socket_mode <= 0o777 && config.socket_mode & 0o600 == 0o600);
            true
        }
        Err(problems) => check(text, &problems),
    }
}

/// The publisher's file.
pub fn publisher(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    onionkeep_publisher::config::Config::parse(text)
        .map_or_else(|problems| check(text, &problems), |_config| true)
}

/// A token's URI is shown without its PIN's source and read again as the same token.
pub fn token_uri(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    let Ok(uri) = text.parse::<TokenUri>() else { return false };
    let mut attributes = text.split(['?', '&']).skip(1);
    assert!(!attributes.any(|attribute| attribute.starts_with("pin-value=")), "a PIN in a URI is accepted");
    let again: TokenUri = uri.to_string().parse().unwrap();
    assert_eq!(again.to_string(), uri.to_string());
    assert_eq!((again.label, again.serial), (uri.label, uri.serial));
    assert_eq!((again.manufacturer, again.model), (uri.manufacturer, uri.model));
    true
}
