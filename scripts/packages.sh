#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Print the packages of packages.txt for this distribution and architecture: scripts/packages.sh run [test]
set -eu
cd "$(dirname "$0")/.."

# shellcheck source=/dev/null
. "${OS_RELEASE:-/etc/os-release}"
case " $ID ${ID_LIKE-} " in
*" ubuntu "*) family=ubuntu ;;
*) family=debian ;;
esac
arch=$(dpkg --print-architecture)

for section in "$@"; do
    sed -n "s/@ARCH@/$arch/; s|^$section\(/$family\)\{0,1\}  *\([^ ]*\).*|\2|p" packages.txt
done
