//! What the simulated traces show, as a table and as a picture.

use crate::{
    leakage::{LIMIT, Sample, greatest},
    machine::MODELS,
};
use anyhow::{Context as _, Result, ensure};
use std::fmt::Write as _;

/// What was found in the traces of an experiment.
pub struct Outcome {
    /// What was simulated.
    pub what: String,
    /// How many traces.
    pub traces: u64,
    /// All samples.
    pub samples: Vec<Sample>,
}

const BEGIN: &str = "<!-- leakage begin -->\n";
const END: &str = "<!-- leakage end -->\n";

/// Replaces the table in a text.
///
/// # Errors
/// If the text does not have one place for it.
pub fn with_table(text: &str, outcomes: &[Outcome]) -> Result<String> {
    let (before, rest) = text.split_once(BEGIN).with_context(|| format!("the text has no line {BEGIN:?}"))?;
    let (_, after) =
        rest.split_once(END).with_context(|| format!("the text has no line {END:?} after it"))?;
    ensure!(!after.contains(BEGIN), "the text has two places for the table");
    Ok(format!("{before}{BEGIN}{}{END}{after}", table(outcomes)))
}

/// The greatest |t| of each experiment in each model.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let names: Vec<String> = MODELS.iter().map(|model| format!("{model:?}").to_lowercase()).collect();
    let mut text = format!("| | traces | samples | above {LIMIT} | {} |\n", names.join(" | "));
    let _ = writeln!(text, "|---|{}", "--:|".repeat(3 + MODELS.len()));
    for Outcome { what, traces, samples } in outcomes {
        let above = samples.iter().filter(|sample| sample.t.abs() > LIMIT).count();
        let _ = write!(text, "| {what} | {traces} | {} | {above} |", samples.len());
        for model in MODELS {
            let of_model: Vec<Sample> =
                samples.iter().copied().filter(|sample| sample.model == model).collect();
            let _ = write!(text, " {:.1} |", greatest(&of_model));
        }
        text.push('\n');
    }
    text
}

const WIDTH: usize = 960;
const LEFT: usize = 56;
const HEIGHT: usize = 150;
const PANEL: usize = HEIGHT + 60;

/// The greatest |t| over time, a panel for each experiment.
#[must_use]
pub fn svg(outcomes: &[Outcome]) -> String {
    let height = PANEL * outcomes.len() + 16;
    let mut text = format!(
        "<svg width=\"{0}\" height=\"{height}\" viewBox=\"0 0 {0} {height}\" xmlns=\"http://www.w3.org/2000/svg\" \
         font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"12\" fill=\"#222222\">\n\
         <rect width=\"{0}\" height=\"{height}\" fill=\"#FFFFFF\"/>\n",
        LEFT + WIDTH + 16
    );
    for (n, outcome) in outcomes.iter().enumerate() {
        panel(&mut text, PANEL * n, outcome);
    }
    text.push_str("</svg>\n");
    text
}

fn panel(text: &mut String, top: usize, Outcome { what, traces, samples }: &Outcome) {
    let end = samples.last().map_or(1, |sample| sample.instruction + 1);
    let mut columns = vec![0.0_f64; WIDTH];
    for sample in samples {
        let column = &mut columns[(sample.instruction * WIDTH as u64 / end) as usize];
        *column = column.max(sample.t.abs());
    }
    // Where both variances are zero, t is infinite.
    let most = columns.iter().copied().filter(|t| t.is_finite()).fold(LIMIT, f64::max);
    let most = (most * 1.02).ceil();
    let (top, bottom) = (top + 32, top + 32 + HEIGHT);
    let y = |t: f64| bottom as f64 - HEIGHT as f64 * t.min(most) / most;
    let _ =
        writeln!(text, "<text x=\"{LEFT}\" y=\"{}\">{what}: greatest |t|, {traces} traces</text>", top - 10);
    let mut path = String::new();
    for (x, t) in (LEFT..).zip(columns) {
        let _ = write!(path, "M{x}.5 {bottom}V{:.1}", y(t));
    }
    let _ = writeln!(text, "<path d=\"{path}\" stroke=\"#0072B2\"/>");
    let right = LEFT + WIDTH;
    for (t, colour) in [(0.0, "#222222"), (LIMIT, "#D55E00"), (most, "#DDDDDD")] {
        let y = y(t);
        let _ = writeln!(text, "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"{colour}\"/>");
        // The limit is near the axis where there is much above it.
        if t != LIMIT || most < 10.0 * LIMIT {
            let _ = writeln!(
                text,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{t:.0}</text>",
                LEFT - 6,
                y + 4.0
            );
        }
    }
    let _ = writeln!(
        text,
        "<text x=\"{right}\" y=\"{}\" text-anchor=\"end\">time: {end} instructions on data</text>",
        bottom + 16
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Model;

    fn outcome() -> Outcome {
        let samples = [(Model::Value, 0, 1.0), (Model::Bus, 0, -7.5), (Model::Bus, 1, 2.0)];
        let samples = samples.map(|(model, instruction, t)| Sample { model, instruction, t });
        Outcome { what: "x".to_owned(), traces: 64, samples: samples.into() }
    }

    #[test]
    fn the_table_is_replaced() {
        let text = format!("a\n{BEGIN}old\n{END}b\n");
        let text = with_table(&text, &[outcome()]).unwrap();
        assert!(text.starts_with("a\n") && text.ends_with("b\n") && !text.contains("old"));
        assert!(text.contains("| x | 64 | 3 | 1 | 1.0 | 0.0 | 0.0 | 0.0 | 7.5 |\n"), "{text}");
        assert!(with_table("a\n", &[]).is_err() && with_table(&format!("{END}{BEGIN}"), &[]).is_err());
    }

    /// The first column of the panel is as high as the greatest of its samples, 7.5 of 8, and that in the middle 2 of 8.
    #[test]
    fn the_picture_shows_the_greatest() {
        let text = svg(&[outcome()]);
        let bottom = 32 + HEIGHT;
        for (x, t) in [(LEFT, 7.5), (LEFT + 1, 0.0), (LEFT + WIDTH / 2, 2.0)] {
            let column = format!("M{x}.5 {bottom}V{:.1}M", bottom as f64 - HEIGHT as f64 * t / 8.0);
            assert!(text.contains(&column), "{column} is not in {text}");
        }
    }
}
