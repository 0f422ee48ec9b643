//! The edge of the edge: what is looked at before a handler sees a request, and what every answer carries.

pub mod client_address;
pub mod headers;
pub mod origins;
pub mod rate_limit;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_cors::CorsError;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{HttpMessage, web};
use arc_swap::{ArcSwap, Guard};
use ipnet::IpNet;

use santral_core::limits::{RATE_BURST_PER_ADDRESS, RATE_BURST_PER_PRINCIPAL, RATE_PER_ADDRESS, RATE_PER_PRINCIPAL};

use super::problem::ApiError;
use crate::config::{Config, ForwardedHeader};
use client_address::{ClientAddress, has_forwarding_header};
use origins::OriginRules;
use rate_limit::{Rate, RateLimited, RateLimits, Standing};

/// What the operator says about the edge. All of it may change while the server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeOptions {
    /// Whose forwarding header is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Which forwarding header is believed.
    pub forwarded_header: ForwardedHeader,
    /// To whom the limits per address do not apply; by default this machine.
    pub unlimited_addresses: Vec<IpNet>,
    /// The origins whose pages may read our answers.
    pub cors_origins: OriginRules,
    /// Requests from one address.
    pub rate_per_address: Rate,
    /// Requests of one principal.
    pub rate_per_principal: Rate,
}

impl Default for EdgeOptions {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::XForwardedFor,
            unlimited_addresses: loopback().to_vec(),
            cors_origins: OriginRules::default(),
            rate_per_address: Rate { per_second: RATE_PER_ADDRESS, burst: RATE_BURST_PER_ADDRESS },
            rate_per_principal: Rate { per_second: RATE_PER_PRINCIPAL, burst: RATE_BURST_PER_PRINCIPAL },
        }
    }
}

impl From<&Config> for EdgeOptions {
    fn from(config: &Config) -> Self {
        let rate = |per_second: std::num::NonZeroU32, burst: std::num::NonZeroU32| Rate {
            per_second: per_second.get(),
            burst: burst.get(),
        };
        Self {
            trusted_proxies: config.trusted_proxies.clone(),
            forwarded_header: config.forwarded_header,
            unlimited_addresses: config.unlimited_addresses.clone(),
            cors_origins: OriginRules(config.cors_origins.clone()),
            rate_per_address: rate(config.rate_per_address, config.rate_burst_per_address),
            rate_per_principal: rate(config.rate_per_principal, config.rate_burst_per_principal),
        }
    }
}

impl EdgeOptions {
    /// Whether the limits per address do not apply to this one.
    #[must_use]
    pub fn is_unlimited(&self, ip: IpAddr) -> bool {
        client_address::contains(&self.unlimited_addresses, ip)
    }
}

/// The addresses of this machine that no other can use.
#[must_use]
pub fn loopback() -> [IpNet; 2] {
    [IpNet::new_assert([127, 0, 0, 0].into(), 8), IpNet::new_assert(std::net::Ipv6Addr::LOCALHOST.into(), 128)]
}

/// The edge of this node, shared by its threads.
pub struct Edge {
    options: ArcSwap<EdgeOptions>,
    rate_limits: RateLimits,
    warned: AtomicBool,
}

impl Edge {
    /// An edge with nothing counted yet.
    #[must_use]
    pub fn new(options: EdgeOptions) -> Arc<Self> {
        let rate_limits = RateLimits::new(options.rate_per_address, options.rate_per_principal);
        Arc::new(Self { options: ArcSwap::from_pointee(options), rate_limits, warned: AtomicBool::new(false) })
    }

    /// What holds now.
    #[must_use]
    pub fn options(&self) -> Guard<Arc<EdgeOptions>> {
        self.options.load()
    }

    /// Changes everything at once, for all requests from now on.
    pub fn set(&self, options: EdgeOptions) {
        self.rate_limits.set(options.rate_per_address, options.rate_per_principal);
        self.options.store(Arc::new(options));
    }

    /// Says once that a proxy stands in front which nobody named: its clients cannot be told apart.
    fn warn_of_unnamed_proxy(&self, request: &ServiceRequest, address: ClientAddress) {
        let may_be_proxy = address.network.is_none() && self.options().trusted_proxies.is_empty();
        if may_be_proxy
            && !self.warned.load(Ordering::Relaxed)
            && has_forwarding_header(request.headers())
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            log::warn!(
                "requests come through a proxy at {}, whose clients share no limits: name it in trusted_proxies",
                address.ip
            );
        }
    }
}

/// What the edge knows of a request; kept in its extensions.
struct Passage {
    address: ClientAddress,
    standings: [Option<Standing>; 2],
    /// The address has asked too often, and the principal is still to be heard.
    limited: Option<RateLimited>,
}

/// Finds out who asks, and refuses foreign pages with cookies and whoever asks too often. Use with
/// `actix_web::middleware::from_fn`, inside of CORS, so that a page can read why it was refused.
///
/// # Errors
/// Those of the services inside.
pub async fn guard<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let Some(passage) = admit(&request) else { return Ok(next.call(request).await?.map_into_left_body()) };
    match passage {
        Ok(passage) => drop(request.extensions_mut().insert(passage)),
        Err((problem, passage)) => {
            let mut response = request.into_response(problem.to_response()).map_into_right_body();
            rate_limit::write_standings(&passage, response.headers_mut());
            return Ok(response);
        }
    }
    let mut response = next.call(request).await?.map_into_left_body();
    let passage = response.request().extensions_mut().remove::<Passage>();
    let Some(passage) = passage else { return Ok(response) };
    if let Some(limited) = passage.limited {
        // Nobody proved to be an administrator; what was refused for another reason is refused for this.
        response = response.into_response(ApiError::from(limited).to_response()).map_into_right_body();
    }
    rate_limit::write_standings(&passage, response.headers_mut());
    Ok(response)
}

/// `None` where there is no edge.
fn admit(request: &ServiceRequest) -> Option<Result<Passage, (ApiError, Passage)>> {
    let edge = request.app_data::<web::Data<Edge>>()?;
    let peer = request.peer_addr()?.ip();
    let options = edge.options();
    let address = client_address::resolve(peer, request.headers(), &options);
    edge.warn_of_unnamed_proxy(request, address);
    let mut passage = Passage { address, standings: [None, None], limited: None };
    let checked = origins::check_cookies(request.headers(), &options.cors_origins).and_then(|()| {
        let headers = request.headers();
        Ok(rate_limit::judge_address(edge, &mut passage, request.path(), request.query_string(), headers)?)
    });
    Some(match checked {
        Ok(()) => Ok(passage),
        Err(problem) => Err((problem, passage)),
    })
}

/// Gives every answer its headers of caution, and refused preflight requests a problem document. Use
/// with `actix_web::middleware::from_fn`, outside of CORS.
///
/// # Errors
/// Those of the services inside.
pub async fn finish<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let response = next.call(request).await?;
    let refused = response.response().error().and_then(|error| error.as_error::<CorsError>());
    let problem = refused.map(|refused| origins::preflight_problem(refused, response.request().headers()));
    let mut response = match problem {
        Some(problem) => {
            let mut response = response.into_response(problem.to_response()).map_into_right_body();
            response.headers_mut().insert(header::VARY, header::HeaderValue::from_static("Origin"));
            response
        }
        None => response.map_into_left_body(),
    };
    headers::complete(response.headers_mut());
    Ok(response)
}
