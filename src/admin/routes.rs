//! Which request is answered with what.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::access::Access;
use super::figures::View;
use super::history::History;
use super::http::{Request, Response, Status, parameter};
use super::{api, metrics, prometheus};

/// The page: one file, no other is asked for.
const PAGE: &str = include_str!("page.html");
/// What stands in the page for the number that its style and script carry.
const NONCE: &str = "NONCE-HERE";

/// What is answered from.
#[derive(Default)]
pub(super) struct Sources {
    /// Empty until the server is recovered.
    pub(super) view: OnceLock<View>,
    /// The server is ending.
    pub(super) stopping: AtomicBool,
}

impl Sources {
    /// Why the server cannot be used; `None` when it can.
    fn obstacle(&self) -> Option<String> {
        if self.stopping.load(Ordering::Acquire) {
            return Some("stopping".into());
        }
        self.view.get().map_or(Some("recovering".into()), View::trouble)
    }
}

/// Answers one request.
pub(super) fn answer(request: &Request, access: &Access, sources: &Sources, history: &History) -> Response {
    if let Err(status) = access.admits(request) {
        return Response::refusal(status);
    }
    // What says nothing about the data asks for no token: probes and the page, which then asks for it.
    match &*request.path {
        "/" => return page(),
        "/health/live" => return Response::text(Status::Ok, "alive"),
        "/health/ready" => return ready(sources),
        _ => {}
    }
    if let Err(status) = access.trusts(request) {
        return Response::refusal(status);
    }
    match &*request.path {
        "/metrics" => measured(sources),
        "/api/overview" => overview(sources, history, &request.query),
        "/api/groups" => viewed(sources, |view| Response::json(&api::groups(view))),
        "/api/keys" => viewed(sources, |view| Response::json(&api::keys(view))),
        "/api/key" => viewed(sources, |view| api::key(view, &request.query)),
        _ => Response::refusal(Status::NotFound),
    }
}

fn ready(sources: &Sources) -> Response {
    match sources.obstacle() {
        None => Response::text(Status::Ok, "ready"),
        Some(obstacle) => Response::text(Status::Unavailable, &obstacle),
    }
}

fn measured(sources: &Sources) -> Response {
    Response {
        status: Status::Ok,
        content_type: prometheus::CONTENT_TYPE,
        headers: String::new(),
        body: metrics::text(sources.view.get()),
    }
}

fn overview(sources: &Sources, history: &History, query: &str) -> Response {
    let known = parameter(query, "after").and_then(|text| std::str::from_utf8(&text).ok()?.parse().ok());
    match sources.view.get() {
        Some(view) => Response::json(&api::overview(view, &history.after(known.unwrap_or(0)))),
        None => Response::json(&json!({ "state": "recovering" })),
    }
}

fn viewed(sources: &Sources, show: impl FnOnce(&View) -> Response) -> Response {
    sources.view.get().map_or_else(|| Response::text(Status::Unavailable, "recovering"), show)
}

/// The page. Only its own style and script run, those that carry this answer's number; nothing is loaded, framed or
/// sent anywhere else.
fn page() -> Response {
    let nonce = format!("{:016x}{:016x}", random(), random());
    let policy = format!(
        "Content-Security-Policy: default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    );
    let body = PAGE.replace(NONCE, &nonce).into_bytes();
    Response { status: Status::Ok, content_type: "text/html; charset=utf-8", headers: policy, body }
}

/// Seeded by the system: nobody outside can guess it.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}
