// The sites of a configuration as the cache takes them: rules made whole with what their site says, keys read.
#pragma once

#include <vector>

#include "base/error.h"
#include "cache/site.h"
#include "node/config.h"

namespace verge::node {

// Error: config.secret, where a signing key cannot be read.
Result<std::vector<cache::SiteOptions>> site_options(const std::vector<SiteConfig>& sites, const ParentConfig& parent);

// What `rule` says, and what `site` says where it does not; of redirect and root a rule has its own if it says either.
PathPolicyConfig policy_of(const PathPolicyConfig& site, const PathPolicyConfig& rule);

}  // namespace verge::node
