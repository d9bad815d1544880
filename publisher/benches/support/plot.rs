//! A plot of cost against introduction points, both scales logarithmic, as an SVG that is written by hand.

use super::Shown;
use std::fmt::Write;

/// Width and height.
const SIZE: (f64, f64) = (640.0, 400.0);
/// Room for the words.
const EDGE: f64 = 60.0;

/// The plot.
pub(crate) fn svg(shown: &[Shown]) -> String {
    let (width, height) = SIZE;
    let points = |one: &Shown| f64::from(u32::try_from(one.points).unwrap());
    let x = |points: f64| EDGE + (points.log10() - 1.0) / 3.0 * (width - 2.0 * EDGE);
    let y = |cpu: f64| height - EDGE - (cpu.log10() + 1.0) / 4.0 * (height - 2.0 * EDGE);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    let mut line = |from: (f64, f64), to: (f64, f64), look: &str| {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _infallible =
            writeln!(text, "<line x1=\"{x1:.0}\" y1=\"{y1:.0}\" x2=\"{x2:.0}\" y2=\"{y2:.0}\" {look}/>");
    };
    for decade in [10.0, 100.0, 1000.0, 10_000.0] {
        line((x(decade), y(0.1)), (x(decade), y(1000.0)), "stroke=\"#ddd\"");
    }
    for decade in [0.1, 1.0, 10.0, 100.0, 1000.0] {
        line((x(10.0), y(decade)), (x(10_000.0), y(decade)), "stroke=\"#ddd\"");
    }
    if let Some(last) = shown.last() {
        // What the largest row costs for each point, straight through all.
        let each = last.cpu / points(last);
        line(
            (x(10.0), y(10.0 * each)),
            (x(10_000.0), y(10_000.0 * each)),
            "stroke=\"#999\" stroke-dasharray=\"4 4\"",
        );
    }
    line((x(3000.0) - 6.0, y(30.0)), (x(3000.0) + 6.0, y(30.0)), "stroke=\"#c00\" stroke-width=\"2\"");
    let mut word = |at: (f64, f64), anchor: &str, word: &str| {
        let (x, y) = at;
        let _infallible =
            writeln!(text, "<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\">{word}</text>");
    };
    for decade in [10.0, 100.0, 1000.0, 10_000.0] {
        word((x(decade), height - EDGE + 18.0), "middle", &format!("{decade}"));
    }
    for decade in [0.1, 1.0, 10.0, 100.0, 1000.0] {
        word((EDGE - 8.0, y(decade) + 4.0), "end", &format!("{decade}"));
    }
    word((width / 2.0, height - 14.0), "middle", "introduction points of all backends (three each)");
    word((EDGE, 24.0), "start", "seconds of CPU for a simulated day; dashed: in proportion; red: the goal");
    for one in shown {
        word((x(points(one)) - 8.0, y(one.cpu) - 8.0), "end", &format!("{:.1} s", one.cpu));
    }
    for one in shown {
        let (x, y) = (x(points(one)), y(one.cpu));
        let _infallible = writeln!(text, "<circle cx=\"{x:.0}\" cy=\"{y:.0}\" r=\"4\" fill=\"#06c\"/>");
    }
    text.push_str("</svg>\n");
    text
}
