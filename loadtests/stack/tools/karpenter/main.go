// Command karpenter is Karpenter with its kwok provider, wrapped so that a pool can be sold out.
//
// The provider of the module sells whatever it is asked for. Here Create refuses node pools that are named in the file
// STOCKOUT_FILE, one a line and read at every call, with the error that a cloud's provider gives; for STOCKOUT_CACHE
// (a duration, 30s by default) after a refusal the pool's offerings count as unavailable, as those providers do for
// three minutes.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/samber/lo"
	"sigs.k8s.io/controller-runtime/pkg/log"

	kwok "sigs.k8s.io/karpenter/kwok/cloudprovider"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/cloudprovider/overlay"
	"sigs.k8s.io/karpenter/pkg/controllers"
	"sigs.k8s.io/karpenter/pkg/controllers/state"
	"sigs.k8s.io/karpenter/pkg/operator"
)

type scarce struct {
	*kwok.CloudProvider
	file  string
	cache time.Duration

	mutex   sync.Mutex
	refused map[string]time.Time
}

func (s *scarce) soldOut(pool string) bool {
	text, err := os.ReadFile(s.file)
	if err != nil {
		return false // no file: nothing is sold out
	}
	return lo.Contains(strings.Fields(string(text)), pool)
}

// Create refuses what is sold out and leaves the rest to the kwok provider.
func (s *scarce) Create(ctx context.Context, claim *v1.NodeClaim) (*v1.NodeClaim, error) {
	pool := claim.Labels[v1.NodePoolLabelKey]
	if s.soldOut(pool) {
		s.mutex.Lock()
		s.refused[pool] = time.Now()
		s.mutex.Unlock()
		return nil, cloudprovider.NewInsufficientCapacityError(fmt.Errorf("no capacity for pool %s", pool))
	}
	return s.CloudProvider.Create(ctx, claim)
}

// GetInstanceTypes marks the offerings of a pool that was refused lately as unavailable.
func (s *scarce) GetInstanceTypes(ctx context.Context, pool *v1.NodePool) ([]*cloudprovider.InstanceType, error) {
	types, err := s.CloudProvider.GetInstanceTypes(ctx, pool)
	s.mutex.Lock()
	at, known := s.refused[pool.Name]
	s.mutex.Unlock()
	if err != nil || !known || time.Since(at) > s.cache {
		return types, err
	}
	return lo.Map(types, func(it *cloudprovider.InstanceType, _ int) *cloudprovider.InstanceType {
		offerings := lo.Map(it.Offerings, func(o *cloudprovider.Offering, _ int) *cloudprovider.Offering {
			return &cloudprovider.Offering{Requirements: o.Requirements, Price: o.Price, Available: false}
		})
		return &cloudprovider.InstanceType{
			Name: it.Name, Requirements: it.Requirements, Offerings: offerings, Capacity: it.Capacity, Overhead: it.Overhead,
		}
	}), nil
}

func main() {
	ctx, op := operator.NewOperator()
	instanceTypes, err := kwok.ConstructInstanceTypes(ctx)
	if err != nil {
		log.FromContext(ctx).Error(err, "no instance types")
		os.Exit(1)
	}
	cache, err := time.ParseDuration(lo.CoalesceOrEmpty(os.Getenv("STOCKOUT_CACHE"), "30s"))
	if err != nil {
		log.FromContext(ctx).Error(err, "STOCKOUT_CACHE is no duration")
		os.Exit(1)
	}
	provider := &scarce{
		CloudProvider: kwok.NewCloudProvider(ctx, op.GetClient(), instanceTypes),
		file:          os.Getenv("STOCKOUT_FILE"),
		cache:         cache,
		refused:       map[string]time.Time{},
	}
	decorated := overlay.Decorate(provider, op.GetClient(), op.InstanceTypeStore)
	cluster := state.NewCluster(op.Clock, op.GetClient(), decorated)
	op.WithControllers(ctx, controllers.NewControllers(
		ctx, op.Manager, op.Clock, op.GetClient(), op.EventRecorder, decorated, provider, cluster, op.InstanceTypeStore,
	)...).Start(ctx)
}
