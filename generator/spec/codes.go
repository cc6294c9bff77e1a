package spec

// The codes of faults in a kasgen.yaml: KAS14xx for single values.
const (
	CodeAPIVersion = "KAS1401"
	CodeRequired   = "KAS1402"
	CodeURL        = "KAS1403"
	CodeName       = "KAS1404"
	CodeAddress    = "KAS1405"
	CodeChoice     = "KAS1406"
	CodePath       = "KAS1407"
	CodeLimit      = "KAS1408"
	CodeVersion    = "KAS1409"
	CodePrefix     = "KAS1410"
	CodeDuplicate  = "KAS1411"
	CodeNetwork    = "KAS1412"
	CodeEmail      = "KAS1413"
)

// KAS15xx for values that do not go together.
const (
	CodeOverlap        = "KAS1501"
	CodeHTTPBalancer   = "KAS1502"
	CodeProxyV2        = "KAS1503"
	CodeRegistry       = "KAS1504"
	CodeGitLabRedis    = "KAS1505"
	CodeACME           = "KAS1506"
	CodeShareTerminate = "KAS1507"
	CodeShareHeader    = "KAS1508"
	CodeSameName       = "KAS1509"
	CodeLoopback       = "KAS1510"
	CodeRemoveAfter    = "KAS1511"
	CodeExternal       = "KAS1512"
	CodeNginxOld       = "KAS1513"
	CodeIdle           = "KAS1514"
	CodeDevelopment    = "KAS1515"
	CodeCleartext      = "KAS1516"
	CodeExternalALPN   = "KAS1517"
	CodeSecondName     = "KAS1518"
	CodeGRPCName       = "KAS1519"
	CodeBalancerKind   = "KAS1520"
	CodeBalancerTLS    = "KAS1521"
	CodeGRPCAddress    = "KAS1522"
	CodeGRPCTLS        = "KAS1523"
	CodeRealIP         = "KAS1524"
	CodeNoRealIP       = "KAS1525"
	CodeNobody         = "KAS1526"
	CodeNoWebsocket    = "KAS1527"
	CodeUnused         = "KAS1528"
	CodeChallenge      = "KAS1529"
	CodeACMEUnused     = "KAS1530"
	CodeNoBalancer     = "KAS1531"
	CodeUncertifiable  = "KAS1532"
	CodeEdgeTLS        = "KAS1533"
	CodeRotate         = "KAS1534"
)

// KAS17xx for what works and will hurt.
const (
	CodeCookies       = "KAS1701"
	CodePlainGitLab   = "KAS1702"
	CodePlainCalls    = "KAS1703"
	CodeRemoval       = "KAS1704"
	CodeDevelopmentCA = "KAS1705"
	CodeShortIdle     = "KAS1706"
	CodeForeignLimits = "KAS1707"
	CodeOwnCache      = "KAS1708"
	CodeEmbeddedRedis = "KAS1709"
	CodeAsked         = "KAS1710"
	CodeOwnTickets    = "KAS1711"
)

// KAS18xx for suppressions.
const (
	CodeSuppressUnknown = "KAS1801"
	CodeSuppressError   = "KAS1802"
	CodeSuppressReason  = "KAS1803"
	CodeSuppressNothing = "KAS1804"
	CodeSuppressEnded   = "KAS1805"
)
