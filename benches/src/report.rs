//! Rounds in turn, and medians.

use std::time::{Duration, Instant};

/// What one contender of a question reached.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Who.
    pub name: String,
    /// Operations a second in each round.
    pub rates: Vec<f64>,
}

impl Figure {
    /// The middle one of the rounds.
    #[must_use]
    pub fn median(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn least(&self) -> f64 {
        self.rates.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn most(&self) -> f64 {
        self.rates.iter().copied().fold(0.0, f64::max)
    }
}

/// A contender: its name, and a function that does some operations and says how many.
pub type Contender<'a> = (&'a str, Box<dyn FnMut() -> (f64, Duration) + 'a>);

/// Runs every contender once a round, in an order that turns, `count` rounds after one that does not count.
pub fn rounds(count: usize, mut contenders: Vec<Contender<'_>>) -> Vec<Figure> {
    let mut figures: Vec<_> =
        contenders.iter().map(|(name, _)| Figure { name: (*name).to_owned(), rates: Vec::new() }).collect();
    let many = contenders.len();
    for round in 0..=count {
        for turn in 0..many {
            let who = (turn + round) % many;
            let (operations, taken) = (contenders[who].1)();
            if round > 0 {
                figures[who].rates.push(operations / taken.as_secs_f64());
            }
        }
    }
    figures
}

/// Prints the figures with their ratio to the first one, the floor.
pub fn table(question: &str, unit: &str, figures: &[Figure]) {
    println!("\n| {question} | {unit} (median) | min | max | ratio to the first |\n|---|---|---|---|---|");
    let floor = figures.first().map_or(f64::NAN, Figure::median);
    for figure in figures {
        let (median, least, most) = (figure.median(), figure.least(), figure.most());
        println!("| {} | {median:.0} | {least:.0} | {most:.0} | {:.2} |", figure.name, median / floor);
    }
}

/// How long `work` takes.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let value = work();
    (value, started.elapsed())
}
