//! Octets as words to read aloud, and back: the PGP word list (P. Juola and P. Zimmermann, 1995). The only place with the words.
//!
//! Octets at even places become words of two syllables, those at odd places words of three, so that a word that is left out,
//! doubled or swapped is noticed.

use alloc::string::String;
use alloc::vec::Vec;

/// Words for octets at even places, in order.
const EVEN: &str = "\
    aardvark absurd accrue acme adrift adult afflict ahead aimless Algol allow alone ammo ancient apple \
    artist assume Athens atlas Aztec baboon backfield backward banjo beaming bedlamp beehive beeswax \
    befriend Belfast berserk billiard bison blackjack blockade blowtorch bluebird bombast bookshelf \
    brackish breadline breakup brickyard briefcase Burbank button buzzard cement chairlift chatter \
    checkup chisel choking chopper Christmas clamshell classic classroom cleanup clockwork cobra \
    commence concert cowbell crackdown cranky crowfoot crucial crumpled crusade cubic dashboard deadbolt \
    deckhand dogsled dragnet drainage dreadful drifter dropper drumbeat drunken Dupont dwelling eating \
    edict egghead eightball endorse endow enlist erase escape exceed eyeglass eyetooth facial fallout \
    flagpole flatfoot flytrap fracture framework freedom frighten gazelle Geiger glitter glucose goggles \
    goldfish gremlin guidance hamlet highchair hockey indoors indulge inverse involve island jawbone \
    keyboard kickoff kiwi klaxon locale lockup merit minnow miser Mohawk mural music necklace Neptune \
    newborn nightbird Oakland obtuse offload optic orca payday peachy pheasant physique playhouse Pluto \
    preclude prefer preshrunk printer prowler pupil puppy python quadrant quiver quota ragtime ratchet \
    rebirth reform regain reindeer rematch repay retouch revenge reward rhythm ribcage ringbolt robust \
    rocker ruffled sailboat sawdust scallion scenic scorecard Scotland seabird select sentence shadow \
    shamrock showgirl skullcap skydive slingshot slowdown snapline snapshot snowcap snowslide solo \
    southward soybean spaniel spearhead spellbind spheroid spigot spindle spyglass stagehand stagnate \
    stairway standard stapler steamship sterling stockman stopwatch stormy sugar surmount suspense \
    sweatband swelter tactics talon tapeworm tempest tiger tissue tonic topmost tracker transit trauma \
    treadmill Trojan trouble tumor tunnel tycoon uncut unearth unwind uproot upset upshot vapor village \
    virus Vulcan waffle wallet watchword wayside willow woodlark Zulu";

/// Words for octets at odd places, in order.
const ODD: &str = "\
    adroitness adviser aftermath aggregate alkali almighty amulet amusement antenna applicant Apollo \
    armistice article asteroid Atlantic atmosphere autopsy Babylon backwater barbecue belowground \
    bifocals bodyguard bookseller borderline bottomless Bradbury bravado Brazilian breakaway Burlington \
    businessman butterfat Camelot candidate cannonball Capricorn caravan caretaker celebrate cellulose \
    certify chambermaid Cherokee Chicago clergyman coherence combustion commando company component \
    concurrent confidence conformist congregate consensus consulting corporate corrosion councilman \
    crossover crucifix cumbersome customer Dakota decadence December decimal designing detector \
    detergent determine dictator dinosaur direction disable disbelief disruptive distortion document \
    embezzle enchanting enrollment enterprise equation equipment escapade Eskimo everyday examine \
    existence exodus fascinate filament finicky forever fortitude frequency gadgetry Galveston getaway \
    glossary gossamer graduate gravity guitarist hamburger Hamilton handiwork hazardous headwaters \
    hemisphere hesitate hideaway holiness hurricane hydraulic impartial impetus inception indigo inertia \
    infancy inferno informant insincere insurgent integrate intention inventive Istanbul Jamaica Jupiter \
    leprosy letterhead liberty maritime matchmaker maverick Medusa megaton microscope microwave \
    midsummer millionaire miracle misnomer molasses molecule Montana monument mosquito narrative nebula \
    newsletter Norwegian October Ohio onlooker opulent Orlando outfielder Pacific pandemic Pandora \
    paperweight paragon paragraph paramount passenger pedigree Pegasus penetrate perceptive performance \
    pharmacy phonetic photograph pioneer pocketful politeness positive potato processor provincial \
    proximate puberty publisher pyramid quantity racketeer rebellion recipe recover repellent replica \
    reproduce resistor responsive retraction retrieval retrospect revenue revival revolver sandalwood \
    sardonic Saturday savagery scavenger sensation sociable souvenir specialist speculate stethoscope \
    stupendous supportive surrender suspicious sympathy tambourine telephone therapist tobacco tolerance \
    tomorrow torpedo tradition travesty trombonist truncated typewriter ultimate undaunted underfoot \
    unicorn unify universe unravel upcoming vacancy vagabond vertigo Virginia visitor vocalist voyager \
    warranty Waterloo whimsical Wichita Wilmington Wyoming yesteryear Yucatan";

/// Words that are no octets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// It stands in neither list.
    #[error("{0:?} is no word of the list")]
    Unknown(String),
    /// It stands in the list of the other places.
    #[error("{0:?} has no place there: a word before it is missing, or stands there twice")]
    Place(String),
}

/// The list for a place.
const fn list(place: usize) -> &'static str {
    if place.is_multiple_of(2) { EVEN } else { ODD }
}

/// The words of some octets, a blank between them.
#[must_use]
pub fn words(octets: &[u8]) -> String {
    let word = |(place, octet): (usize, &u8)| list(place).split(' ').nth(usize::from(*octet));
    octets.iter().enumerate().filter_map(word).collect::<Vec<_>>().join(" ")
}

/// The octets of some words; small and capital letters are alike, and any white space separates.
///
/// # Errors
/// [`WordsError`] names the first word that is wrong.
pub fn octets(words: &str) -> Result<Vec<u8>, WordsError> {
    words.split_whitespace().enumerate().map(|(place, word)| octet(place, word)).collect()
}

/// The octet of the word at a place.
fn octet(place: usize, word: &str) -> Result<u8, WordsError> {
    let at = |list: &str| list.split(' ').position(|known| known.eq_ignore_ascii_case(word));
    match at(list(place)).and_then(|at| u8::try_from(at).ok()) {
        Some(octet) => Ok(octet),
        None if at(list(place.saturating_add(1))).is_some() => Err(WordsError::Place(word.into())),
        None => Err(WordsError::Unknown(word.into())),
    }
}

/// Whether words that somebody typed or read aloud are those of these octets.
#[must_use]
pub fn same(typed: &str, expected: &[u8]) -> bool {
    octets(typed).is_ok_and(|octets| octets == expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The example of the list's authors: a PGP key's fingerprint.
    const FINGERPRINT: [u8; 20] = [
        0xe5, 0x82, 0x94, 0xf2, 0xe9, 0xa2, 0x27, 0x48, 0x6e, 0x8b, 0x06, 0x1b, 0x31, 0xcc, 0x52, 0x8f, 0xd7,
        0xfa, 0x3f, 0x19,
    ];
    const SPOKEN: &str = "topmost Istanbul Pluto vagabond treadmill Pacific brackish dictator goldfish Medusa \
        afflict bravado chatter revolver Dupont midsummer stopwatch whimsical cowbell bottomless";

    #[test]
    fn the_authors_example_is_spoken_and_read() {
        assert_eq!(words(&FINGERPRINT), SPOKEN);
        assert_eq!(octets(SPOKEN).unwrap(), FINGERPRINT);
        assert_eq!(octets(&SPOKEN.to_uppercase().replace(' ', "\n  ")).unwrap(), FINGERPRINT);
        assert_eq!((words(&[]).as_str(), octets(" ")), ("", Ok(Vec::new())));
    }

    #[test]
    fn every_octet_has_a_word_of_its_own_at_each_place() {
        let all: Vec<u8> = (0..=255).flat_map(|octet| [octet, octet]).collect();
        let spoken = words(&all).to_lowercase();
        assert_eq!(spoken.split(' ').collect::<BTreeSet<_>>().len(), 512);
        assert_eq!(octets(&spoken).unwrap(), all);
    }

    #[test]
    fn words_that_are_missing_swapped_or_unknown_are_noticed() {
        let spoken: Vec<&str> = SPOKEN.split(' ').collect();
        for at in 0..spoken.len() - 1 {
            let mut less = spoken.clone();
            less.remove(at);
            assert!(matches!(octets(&less.join(" ")), Err(WordsError::Place(_))), "without {at}");
            let mut swapped = spoken.clone();
            swapped.swap(at, at + 1);
            assert!(matches!(octets(&swapped.join(" ")), Err(WordsError::Place(_))), "swapped {at}");
        }
        assert_eq!(octets("topmost Konstantinopel"), Err(WordsError::Unknown("Konstantinopel".into())));
        assert!(same(SPOKEN, &FINGERPRINT));
        assert!(!same(SPOKEN, &FINGERPRINT[..19]));
        assert!(!same("", &FINGERPRINT));
    }
}
