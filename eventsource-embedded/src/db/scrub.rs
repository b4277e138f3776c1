//! Checking a whole file and saying what is wrong with it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, Row};

use super::{Kind, fault::Fault, seal};

/// Findings that are kept; more are only counted.
const FINDINGS_MAX: usize = 100;

/// What a scrub of one file found.
///
/// ```
/// use eventsource_embedded::ScrubReport;
///
/// fn is_fine(report: &ScrubReport) -> bool {
///     report.damage.is_empty()
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScrubReport {
    /// The file.
    pub file: PathBuf,
    /// Pages compared with their sums.
    pub pages: usize,
    /// Rows compared with their checksums.
    pub rows: u64,
    /// What is damaged: the first 100 findings.
    pub damage: Vec<Damage>,
    /// All findings.
    pub damage_count: u64,
}

/// One damaged place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// Where in the file, for example `table message, row 7`; empty for the file itself.
    pub at: String,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() { f.write_str(&self.what) } else { write!(f, "{}: {}", self.at, self.what) }
    }
}

/// What comparing pages with their sums found.
#[derive(Debug, Default)]
pub(super) struct PagesReport {
    pub(super) checked: usize,
    pub(super) problems: Vec<String>,
}

/// What checks add to.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(super) rows: u64,
    pub(super) damage: Vec<Damage>,
    pub(super) damage_count: u64,
}

pub(super) fn scrub(connection: &Connection, path: &Path, kind: &Kind, pages: PagesReport) -> ScrubReport {
    let mut findings = Findings::default();
    for problem in pages.problems {
        findings.add("", problem);
    }
    findings.check_everything(connection, kind);
    let Findings { rows, damage, damage_count } = findings;
    if damage_count > 0 {
        tracing::error!(file = %path.display(), damage_count, first = %damage[0], "damage found");
    }
    ScrubReport { file: path.to_path_buf(), pages: pages.checked, rows, damage, damage_count }
}

impl Findings {
    /// Every tree and every row, in one view of the file.
    pub(super) fn check_everything(&mut self, connection: &Connection, kind: &Kind) {
        let transaction = match connection.unchecked_transaction() {
            Ok(transaction) => transaction,
            Err(error) => return self.add("", error.to_string()),
        };
        if let Err(error) = self.check_trees(&transaction) {
            self.add("", error.to_string());
        }
        if let Err(fault) = (kind.verify)(&transaction, self) {
            self.add_fault(fault);
        }
    }

    /// Checks each row that `sql` gives: `columns` values, then their seal; `name` names the row.
    pub(crate) fn check_rows(
        &mut self,
        connection: &Connection,
        table: &str,
        sql: &str,
        columns: usize,
        name: impl Fn(&Row<'_>) -> String,
    ) -> Result<(), Fault> {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            self.rows += 1;
            if let Err(fault) = seal::check(table, row, columns, name(row)) {
                self.add_fault(fault);
            }
        }
        Ok(())
    }

    pub(crate) fn count_row(&mut self) {
        self.rows += 1;
    }

    pub(crate) fn add_fault(&mut self, fault: Fault) {
        match fault {
            Fault::Damaged { at, what } => self.add(at, what),
            other => self.add("", other.to_string()),
        }
    }

    fn add(&mut self, at: impl Into<String>, what: impl Into<String>) {
        self.damage_count += 1;
        if self.damage.len() < FINDINGS_MAX {
            self.damage.push(Damage { at: at.into(), what: what.into() });
        }
    }

    fn check_trees(&mut self, connection: &Connection) -> Result<(), rusqlite::Error> {
        let mut statement = connection.prepare(&format!("PRAGMA integrity_check({FINDINGS_MAX})"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let found: String = row.get(0)?;
            if found != "ok" {
                self.add("", found);
            }
        }
        Ok(())
    }
}
