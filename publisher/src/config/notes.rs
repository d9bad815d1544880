//! What is right in a configuration and still good to know before it is used; `check-config` says it.

use super::values::ORDINARY_MOST;
use super::{Config, ServiceConfig};

impl Config {
    /// One sentence for each thing to know.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.services.iter().filter_map(long_descriptors).collect()
    }
}

/// Descriptors of more than one block are too long for tors with the vanguards add-on, at either end of the circuit to an HSDir.
///
/// Its `circ_max_hsdesc_kilobytes` is 30 by default. It counts cells of 509 octets in both directions, and those that built the circuit:
/// some 21,000 octets for a descriptor of one block, 35,000 for two, 48,000 for three.
fn long_descriptors(service: &ServiceConfig) -> Option<String> {
    let points = service.mode.points();
    if u64::try_from(points).is_ok_and(|points| points <= ORDINARY_MOST) {
        return None;
    }
    Some(format!(
        "{}: a descriptor with more than {ORDINARY_MOST} introduction points (here up to {points}) is too long for clients, and for a tor \
         of the publisher, that run the vanguards add-on as it is (docs/operate/modes.md)",
        service.address.redacted()
    ))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::config::tests::SAMPLE;

    #[test]
    fn one_block_fits_into_the_circuit_and_two_do_not() {
        // Cells with the descriptor, with 498 octets of it each, and at least nine that build the circuit, begin and ask.
        let circuit = |octets: u64| (octets.div_ceil(498) + 9) * 509;
        // Descriptors of one block and of two, as `sizes_are_those_of_c_tor` has them.
        assert!(circuit(14_111) < 30 * 1024 && circuit(27_651) > 30 * 1024);
    }

    #[test]
    fn only_modes_with_more_than_one_block_are_noted() {
        let notes = |lines: &str| {
            let text = SAMPLE.replacen("signer = ", &format!("{lines}signer = "), 1);
            Config::parse(&text).unwrap().notes()
        };
        for short in ["", "intro_points = 8\n", "mode = \"wide\"\nintro_points = 8\n"] {
            assert_eq!(notes(short), <[String; 0]>::default(), "{short}");
        }
        for long in ["mode = \"wide\"\nintro_points = 9\n", "mode = \"distinct\"\n"] {
            let notes = notes(long);
            assert!(matches!(notes.as_slice(), [note] if note.contains("vanguards")), "{long}: {notes:?}");
        }
    }
}
