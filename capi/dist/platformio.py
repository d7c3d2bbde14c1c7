# PlatformIO runs this when it builds a project with the library: it chooses the archive for the compiler and its flags.
# SPDX-License-Identifier: Apache-2.0 OR MIT
import os
import re
import shlex
import subprocess

Import("env", "projenv")  # noqa: F821
root = os.getcwd()

command = shlex.split(env.subst("$CC $CCFLAGS $CFLAGS"))
command += ["-E", "-P", "-DTWINE_OTR_PRINT_TARGET", "-x", "c", os.path.join(root, "include", "twine-otr-target.h")]
printed = subprocess.check_output(command, env=env["ENV"], text=True)
found = re.search(r'"([a-z0-9_.-]+)"', printed)
if not found:
    raise SystemExit("TWINE-OTR has no archive for this processor")
target = found.group(1)

defines = [d[0] if isinstance(d, (tuple, list)) else d for d in env.get("CPPDEFINES", [])]
library = "twine-otr-compact" if "TWINE_OTR_KEYS_COMPACT" in defines else "twine-otr"
# The project links these too.
env.Append(LIBPATH=[os.path.join(root, "lib", target)], LIBS=[library])
for environment in (env, projenv):  # noqa: F821
    environment.Append(CPPDEFINES=[("TWINE_OTR_ARCHIVE", re.sub("[-.]", "_", target))])
