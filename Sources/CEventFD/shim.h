// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

#pragma once

// eventfd is not part of the Swift toolchain's Glibc module.
#include <sys/eventfd.h>
