//! What browser clients ask for before they send: settings, and the script itself from a folder.
//!
//! Invariant: only plain files inside of the folder are given away, however a path is written.

use super::calls::BUNDLES;
use crate::http::Refusal;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The largest file that is given away.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// The deepest folder below `script_dir`.
const MAX_DEPTH: usize = 8;
/// How long a browser may keep a script.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The settings that Segment's browser client needs; `at` is scheme and host by which it reaches this source.
pub(super) fn settings(key: &str, at: &(String, String)) -> Value {
    let (protocol, host) = at;
    json!({
        "integrations": {"Segment.io": {
            "apiKey": key, "apiHost": format!("{host}/v1"), "protocol": protocol, "type": "server",
        }},
        "plan": {},
    })
}

/// The settings that RudderStack's browser client needs.
pub(super) fn source_config(key: &str) -> Value {
    let off = json!({"enabled": false});
    json!({
        "source": {
            "id": "source", "name": "source", "writeKey": key, "enabled": true, "workspaceId": "workspace",
            "config": {"statsCollection": {"errors": off, "metrics": off}},
            "destinations": [], "connections": [], "dataplanes": {},
        },
        "updatedAt": "1970-01-01T00:00:00.000Z",
        "consentManagementMetadata": {"providers": []},
    })
}

/// The file of a request for a script: `/p.js`, or what follows the key in `/analytics.js/v1/{key}/…`, or a part of Segment's client.
pub(super) fn script_name(path: &str) -> Option<&str> {
    if path == "/p.js" {
        return Some("p.js");
    }
    if let Some(name) = path.strip_prefix(BUNDLES) {
        return Some(name);
    }
    let (_key, name) = path.strip_prefix("/analytics.js/v1/")?.split_once('/')?;
    Some(name)
}

/// A file of the folder.
pub(super) async fn script(folder: &Path, name: &str) -> Result<Response, Refusal> {
    let (folder, name) = (folder.to_owned(), name.to_owned());
    let read = tokio::task::spawn_blocking(move || read(&folder, &name).ok_or(name));
    let missing = || Refusal::new(404, "not_found", "there is no such script in `script_dir`");
    let (file, bytes) = read.await.map_err(|_| missing())?.map_err(|_| missing())?;
    let kind = match file.extension().and_then(|extension| extension.to_str()) {
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json" | "map") => "application/json",
        _ => "application/octet-stream",
    };
    let mut answer = bytes.into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, CACHE);
    let no_guessing = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, no_guessing);
    Ok(answer)
}

fn read(folder: &Path, name: &str) -> Option<(PathBuf, Vec<u8>)> {
    let parts: Vec<_> = name.split('/').collect();
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_plain =
        |part: &&str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(known);
    if parts.len() > MAX_DEPTH || !parts.iter().all(is_plain) {
        return None;
    }
    let folder = folder.canonicalize().ok()?;
    // A link may lead anywhere, but not out of the folder.
    let file = folder.join(name).canonicalize().ok()?;
    let metadata = file.metadata().ok()?;
    let is_inside = file.starts_with(&folder);
    if !is_inside || !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return None;
    }
    let bytes = std::fs::read(&file).ok()?;
    Some((file, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_files_inside_of_the_folder_are_given_away() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("scripts");
        std::fs::create_dir_all(folder.join("chunks")).unwrap();
        std::fs::write(outer.path().join("secret.js"), "secret").unwrap();
        std::fs::write(folder.join("p.js"), "p").unwrap();
        std::fs::write(folder.join(".hidden.js"), "hidden").unwrap();
        std::fs::write(folder.join("chunks/a-1.bundle.js"), "a").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(outer.path().join("secret.js"), folder.join("link.js")).unwrap();
        for name in ["p.js", "chunks/a-1.bundle.js"] {
            assert!(read(&folder, name).is_some(), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "../secret.js",
            "chunks/../p.js",
            "chunks/../../secret.js",
            "/etc/passwd",
            "chunks",
            "chunks//a-1.bundle.js",
            ".hidden.js",
            "%2e%2e/secret.js",
            "..\\secret.js",
            "link.js",
            "p.js\0",
            "none.js",
        ] {
            assert!(read(&folder, name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_script_is_named_behind_the_key() {
        let name = "/analytics.js/v1/KEY/analytics.min.js";
        assert_eq!(script_name(name), Some("analytics.min.js"));
        assert_eq!(script_name("/p.js"), Some("p.js"));
        let part = "/analytics-next/bundles/a.bundle.js";
        assert_eq!(script_name(part), Some("a.bundle.js"));
        assert_eq!(script_name("/analytics.js/v1/KEY"), None);
    }
}
