//! The difference of two short texts, line by line.

use std::fmt::Write;

/// Both texts as one: `-` marks lines that are only in `right`, `+` lines that are only in `seen`.
///
/// Source: the longest common subsequence by dynamic programming, Wagner and Fischer, "The
/// String-to-String Correction Problem" (1974). Quadratic, which is fine for events of a test.
pub(super) fn lines(right: &str, seen: &str) -> String {
    let (right, seen): (Vec<_>, Vec<_>) = (right.lines().collect(), seen.lines().collect());
    // common[i][j]: how many lines the texts from line i and line j on have in common.
    let mut common = vec![vec![0_usize; seen.len() + 1]; right.len() + 1];
    for i in (0..right.len()).rev() {
        for j in (0..seen.len()).rev() {
            common[i][j] =
                if right[i] == seen[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let mut text = String::new();
    let (mut i, mut j) = (0, 0);
    while i < right.len() || j < seen.len() {
        let same = i < right.len() && j < seen.len() && right[i] == seen[j];
        let missing = j == seen.len() || (i < right.len() && common[i + 1][j] >= common[i][j + 1]);
        let (mark, line) = if same {
            (i, j) = (i + 1, j + 1);
            (' ', right[i - 1])
        } else if missing {
            i += 1;
            ('-', right[i - 1])
        } else {
            j += 1;
            ('+', seen[j - 1])
        };
        let _ = writeln!(text, "{mark} {line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn only_the_lines_that_differ_are_marked() {
        assert_eq!(lines("a\nb\nc", "a\nx\nc\nd"), "  a\n- b\n+ x\n  c\n+ d\n");
        assert_eq!(lines("", "a"), "+ a\n");
        assert_eq!(lines("a", "a"), "  a\n");
    }
}
