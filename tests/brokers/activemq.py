"""Debian's ActiveMQ: STOMP over TCP, with users whose passwords may change while it runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.brokers.running import Broker, environment, free_ports

__all__ = ["ActiveMQ"]

_HOME = Path("/usr/share/activemq")
_PROGRAM = _HOME / "bin" / "activemq.jar"

_CONFIG = """\
<beans xmlns="http://www.springframework.org/schema/beans"
       xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
       xsi:schemaLocation="http://www.springframework.org/schema/beans
         http://www.springframework.org/schema/beans/spring-beans-2.0.xsd
         http://activemq.apache.org/schema/core
         http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core"
          brokerName="tests" useJmx="false" dataDirectory="{folder}/data">
    <persistenceAdapter>
      <kahaDB directory="{folder}/data/kahadb" journalMaxFileLength="8mb"/>
    </persistenceAdapter>
    <plugins>
      <jaasAuthenticationPlugin configuration="users"/>
      <authorizationPlugin><map><authorizationMap><authorizationEntries>
        <authorizationEntry queue="&gt;" read="users" write="users" admin="users"/>
        <authorizationEntry topic="&gt;" read="users" write="users" admin="users"/>
        <authorizationEntry topic="ActiveMQ.Advisory.&gt;"
                            read="users,guests" write="users,guests" admin="users,guests"/>
      </authorizationEntries></authorizationMap></map></authorizationPlugin>
    </plugins>
    <systemUsage><systemUsage>
      <memoryUsage><memoryUsage limit="64 mb"/></memoryUsage>
      <storeUsage><storeUsage limit="256 mb"/></storeUsage>
      <tempUsage><tempUsage limit="64 mb"/></tempUsage>
    </systemUsage></systemUsage>
    <transportConnectors>
      <transportConnector name="stomp" uri="stomp://127.0.0.1:{port}"/>
    </transportConnectors>
  </broker>
</beans>
"""

# `reload`: a password that changes in the file is the one that counts from then on.
_LOGIN = """\
users {
  org.apache.activemq.jaas.PropertiesLoginModule required
    reload=true
    org.apache.activemq.jaas.properties.user="users.properties"
    org.apache.activemq.jaas.properties.group="groups.properties";
};
"""

_LOG = """\
log4j.rootLogger=WARN, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d %p %c: %m%n
"""


class ActiveMQ(Broker):
    """A broker in a small Java machine; see `Broker`.

    `ada` may do everything, `guest` may only log in.
    """

    name = "ActiveMQ"

    def __init__(self, folder: Path) -> None:
        (self.tcp_port,) = free_ports(1)
        super().__init__(folder, (self.tcp_port,))
        self._conf = folder / "conf"
        for each in (self._conf, folder / "tmp", folder / "data"):
            each.mkdir()
        (folder / "activemq.xml").write_text(_CONFIG.format(folder=folder, port=self.tcp_port))
        (self._conf / "login.config").write_text(_LOGIN)
        (self._conf / "log4j.properties").write_text(_LOG)
        (self._conf / "groups.properties").write_text("users=ada\nguests=guest\n")
        self.passwords: Mapping[str, str] = {}
        self.change_passwords({"ada": "first", "guest": "guest"})

    @classmethod
    def missing(cls) -> str:
        if not _PROGRAM.exists() or shutil.which("java") is None:
            return "ActiveMQ is not installed (Debian: activemq)."
        return ""

    @property
    def command(self) -> list[str]:
        folder, conf = self.folder, self._conf
        return [
            "java",
            # It has little to do, and is to be there soon.
            *("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            # As Debian's own start script has them.
            *("--add-opens", "java.base/java.lang=ALL-UNNAMED"),
            *("--add-opens", "java.base/java.util=ALL-UNNAMED"),
            "-Djava.awt.headless=true",
            f"-Djava.io.tmpdir={folder / 'tmp'}",
            f"-Djava.security.auth.login.config={conf}/login.config",
            f"-Dlog4j.configuration=file:{conf}/log4j.properties",
            f"-Dactivemq.home={_HOME}",
            f"-Dactivemq.base={folder}",
            f"-Dactivemq.conf={conf}",
            f"-Dactivemq.data={folder}/data",
            *("-jar", str(_PROGRAM), "start", f"xbean:file:{folder}/activemq.xml"),
        ]

    @property
    def environment(self) -> dict[str, str]:
        return environment(HOME=str(self.folder))

    def change_passwords(self, passwords: Mapping[str, str]) -> None:
        """From now on these count, for whoever logs in anew."""
        self.passwords = dict(passwords)
        written = self._conf / "users.properties.new"
        written.write_text("".join(f"{name}={word}\n" for name, word in passwords.items()))
        os.replace(written, self._conf / "users.properties")
