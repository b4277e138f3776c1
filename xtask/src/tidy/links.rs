//! Links between documents lead somewhere.

use super::{files, read, shown};

pub(super) fn findings() -> Result<Vec<String>, String> {
    let mut findings = Vec::new();
    for path in files("", "md")? {
        let text = read(&path)?;
        let folder = path.parent().unwrap_or(&path);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !target.is_empty() && !elsewhere && !folder.join(target).exists() {
                findings.push(format!("{}: the link to {target} leads nowhere", shown(&path)));
            }
        }
    }
    Ok(findings)
}
