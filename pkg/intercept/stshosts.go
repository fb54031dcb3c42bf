package intercept

import "strings"

// stsRegions are the Regions of each partition whose STS endpoints are resolved, with
// what comes behind the Region in their names. By name more is known; see stsName.
// https://docs.aws.amazon.com/general/latest/gr/sts.html
var stsRegions = []struct{ suffixes, regions string }{
	{
		"amazonaws.com api.aws",
		"us-east-1 us-east-2 us-west-1 us-west-2 ca-central-1 ca-west-1 mx-central-1 sa-east-1 eu-west-1 eu-west-2 " +
			"eu-west-3 eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 il-central-1 me-central-1 " +
			"me-south-1 af-south-1 ap-east-1 ap-east-2 ap-south-1 ap-south-2 ap-northeast-1 ap-northeast-2 " +
			"ap-northeast-3 ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 " +
			"ap-southeast-6 ap-southeast-7 us-gov-west-1 us-gov-east-1",
	},
	{"amazonaws.com.cn api.amazonwebservices.com.cn", "cn-north-1 cn-northwest-1"},
	{"amazonaws.eu api.amazonwebservices.eu", "eusc-de-east-1"},
}

// stsFIPSRegions have FIPS endpoints beside the others.
const stsFIPSRegions = "us-east-1 us-east-2 us-west-1 us-west-2"

// stsHosts are the names whose addresses are STS's.
func stsHosts() []string {
	hosts := []string{"sts.amazonaws.com"}
	for _, partition := range stsRegions {
		for _, suffix := range strings.Fields(partition.suffixes) {
			for _, region := range strings.Fields(partition.regions) {
				hosts = append(hosts, "sts."+region+"."+suffix)
			}
		}
	}
	for _, region := range strings.Fields(stsFIPSRegions) {
		hosts = append(hosts, "sts-fips."+region+".amazonaws.com", "sts-fips."+region+".api.aws")
	}
	return hosts
}
