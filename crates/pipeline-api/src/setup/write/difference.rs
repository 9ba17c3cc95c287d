//! What differs between two files: the places of their trees, and the lines of their texts.

use crate::setup::secrets::Step;
use serde_json::Value;

/// Places that are listed.
const MAX_PLACES: usize = 200;
/// Lines around a difference.
const CONTEXT: usize = 3;

/// The places at which two trees differ, as deep as one can tell.
pub(crate) fn places(old: &Value, new: &Value, place: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    if old == new || found.len() >= MAX_PLACES {
        return;
    }
    let (Some(before), Some(after)) = (old.as_object(), new.as_object()) else {
        found.push(place.clone());
        return;
    };
    let added = after.keys().filter(|key| !before.contains_key(*key));
    for key in before.keys().chain(added) {
        place.push(Step::Key(key.clone()));
        places(&old[key.as_str()], &new[key.as_str()], place, found);
        place.pop();
    }
}

/// The lines that differ, with some around them, in the form of `diff -u`: what is between the first and the last difference.
pub(crate) fn lines(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.split('\n').collect(), new.split('\n').collect());
    let same = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| {
        pairs.take_while(|(old, new)| old == new).count()
    };
    let before = same(&mut old.iter().zip(&new));
    let most = old.len().min(new.len()) - before;
    let after = same(&mut old.iter().rev().zip(new.iter().rev())).min(most);
    let (old_end, new_end) = (old.len() - after, new.len() - after);
    if before == old_end && before == new_end {
        return String::new();
    }
    let first = before.saturating_sub(CONTEXT);
    let last = (old_end + CONTEXT).min(old.len());
    let (count_old, count_new) = (last - first, last - first + new_end - old_end.min(new_end));
    let count_new = if new_end >= old_end {
        count_new
    } else {
        count_old - (old_end - new_end)
    };
    let mut lines = vec![format!(
        "@@ -{},{count_old} +{},{count_new} @@",
        first + 1,
        first + 1
    )];
    let marked = |mark: &'static str| move |line: &&str| format!("{mark}{line}");
    lines.extend(old[first..before].iter().map(marked(" ")));
    lines.extend(old[before..old_end].iter().map(marked("-")));
    lines.extend(new[before..new_end].iter().map(marked("+")));
    lines.extend(old[old_end..last].iter().map(marked(" ")));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::secrets::path;
    use serde_json::json;

    #[test]
    fn a_difference_has_the_lines_around_it() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n";
        let added = lines(old, "1\n2\n3\n4\nx\ny\n6\n7\n8\n");
        assert_eq!(
            added,
            "@@ -2,7 +2,8 @@\n 2\n 3\n 4\n-5\n+x\n+y\n 6\n 7\n 8\n"
        );
        let removed = lines(old, "1\n2\n3\n4\n8\n");
        assert_eq!(removed, "@@ -2,8 +2,5 @@\n 2\n 3\n 4\n-5\n-6\n-7\n 8\n \n");
        assert_eq!(lines(old, old), "");
        assert_eq!(lines("", "a"), "@@ -1,1 +1,1 @@\n-\n+a\n");
    }

    #[test]
    fn places_are_as_deep_as_tables_are() {
        let old = json!({"a": {"b": 1, "c": [1]}, "d": 1});
        let new = json!({"a": {"b": 2, "c": [2]}, "e": {"f": 1}});
        let mut found = Vec::new();
        places(&old, &new, &mut Vec::new(), &mut found);
        let found: Vec<_> = found.iter().map(|place| path(place)).collect();
        assert_eq!(found, ["a.b", "a.c", "d", "e"]);
    }
}
