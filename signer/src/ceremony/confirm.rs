//! What a person confirms: the hour on a watch, words that were read aloud, the exact sentence. The only place that asks.
//!
//! A rehearsal and a script give the hour and the words on the command line instead; whoever gives words has compared them, for
//! they are those of the file and of nothing else.

use crate::error::{Failure, Kind};
use crate::terminal::Terminal;
use onionkeep_common::UnixTime;
use onionkeep_common::iso::Iso;
use onionkeep_common::paper::words;

/// What was given on the command line; the rest is asked on the terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    /// Words that were heard.
    pub heard: Option<&'a str>,
    /// Date and hour on a watch.
    pub watch: Option<&'a str>,
}

/// Asks on the terminal.
fn ask(prompt: &str) -> Result<String, Failure> {
    let asked = Terminal::open().and_then(|terminal| terminal.ask(prompt));
    asked.map(|line| line.trim().to_owned()).map_err(|error| {
        let text = format!("a person must confirm this on a terminal: {error}. Nothing was signed");
        Failure::new(Kind::Refused, text, "run it on a terminal, or give --watch and --heard")
    })
}

/// What was answered is not what was wanted.
fn refused(what: &str, hint: &str) -> Failure {
    Failure::new(Kind::Refused, format!("{what}. Nothing was signed"), hint)
}

/// Reads `2026-11-22 16`.
fn hour(text: &str) -> Result<UnixTime, Failure> {
    let iso: Result<Iso, _> = format!("{}:00:00Z", text.trim().replace(' ', "T")).parse();
    iso.map(|iso| iso.0).map_err(|_form| {
        let text = format!("{text:?} is no date and hour. Nothing was signed");
        Failure::new(Kind::Clock, text, "write it in UTC as in 2026-11-22 16")
    })
}

impl Given<'_> {
    /// Date and hour on a watch.
    ///
    /// # Errors
    /// [`Failure`] if there is no answer.
    pub fn watch(&self) -> Result<UnixTime, Failure> {
        match self.watch {
            Some(text) => hour(text),
            None => hour(&ask("Type date and hour as your watch shows them, in UTC, as in 2026-11-22 16: ")?),
        }
    }

    /// That the other side reads the same words of these octets.
    ///
    /// # Errors
    /// [`Failure`] if it does not.
    pub fn words(&self, what: &str, octets: &[u8; 32]) -> Result<(), Failure> {
        let ten = octets.first_chunk::<10>().map_or([].as_slice(), |ten| ten);
        let same = match self.heard {
            Some(heard) => words::same(heard, ten),
            None => {
                let spoken = words::words(ten);
                ask(&format!("Words of {what}:\n    {spoken}\nDoes the publisher read the same? Type Yes: "))?
                    == "Yes"
            }
        };
        if same {
            Ok(())
        } else {
            Err(refused(&format!("the words of {what} were not confirmed"), "compare them again"))
        }
    }

    /// The last question: the exact sentence, unless words were given.
    ///
    /// # Errors
    /// [`Failure`] if anything else is typed.
    pub fn sentence(&self, question: &str, sentence: &str) -> Result<(), Failure> {
        if self.heard.is_some() || ask(&format!("{question} Type exactly {sentence}: "))? == sentence {
            return Ok(());
        }
        Err(refused(&format!("{sentence:?} was not typed"), "start again if it was a slip"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_and_words_on_the_command_line_are_taken_and_others_refused() {
        let given = |heard, watch| Given { heard: Some(heard), watch: Some(watch) };
        let spoken = words::words(&[7; 10]);
        assert_eq!(given("", "2026-11-22 16").watch().unwrap(), UnixTime(1_795_363_200));
        assert!(given(&spoken, "").words("the file", &[7; 32]).is_ok());
        assert!(given(&spoken, "").sentence("?", "Issue 1").is_ok());
        for bad in ["", "2026-11-22", "2026-11-22 24", "22.11.2026 16"] {
            assert_eq!(given("", bad).watch().unwrap_err().kind(), Kind::Clock, "{bad}");
        }
        for bad in ["", "aardvark", &spoken.replace(' ', "  x ")] {
            let error = given(bad, "").words("the file", &[7; 32]).unwrap_err();
            assert!(error.to_string().contains("Nothing was signed"), "{bad}");
        }
    }
}
