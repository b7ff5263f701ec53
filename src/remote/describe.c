/* describe.c: what the server has, asked on a small lane before the real one is as large as that
 * needs. */
#include "remote.h"

#include "src/base/base.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { INFO_BYTES = 4 << 20 };

static uint32_t number(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    const double value = cJSON_IsNumber(item) ? item->valuedouble : 0;

    return value >= 0 && value <= UINT32_MAX && floor(value) == value ? (uint32_t)value : 0;
}

static int read_layers(struct moed_client *client, const cJSON *info, struct moed_error *err)
{
    const cJSON *layers = cJSON_GetObjectItemCaseSensitive(info, "layers"), *item;

    client->layers = moed_calloc((uint64_t)cJSON_GetArraySize(layers) + 1, sizeof *client->layers);
    if (client->layers == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a list of layers");
    cJSON_ArrayForEach(item, layers)
    {
        const struct moed_client_layer layer = {number(item, "layer"), number(item, "hidden"),
                                                number(item, "experts"),
                                                number(item, "experts_used")};

        if (layer.hidden == 0 || layer.experts == 0)
            return moed_fail(err, MOED_E_MALFORMED,
                             "the server's description has a layer without "
                             "\"hidden\" or \"experts\"");
        client->layers[client->n_layers++] = layer;
    }
    return 0;
}

static bool is_described(struct moed_client *client, const void *context)
{
    (void)context;
    return lane_is_answered(&client->lane, 0);
}

static int ask(struct moed_client *client, struct moed_error *err)
{
    struct moed_lane_slot *slot = lane_slot(&client->lane, 0);
    int rc;

    slot->request = (struct moed_lane_request){.kind = MOED_LANE_INFO};
    lane_submit(&client->lane, 0);
    rc = client_wait_until(client, is_described, NULL, err);
    if (rc != 0)
        return rc;
    slot->answer.message[sizeof slot->answer.message - 1] = '\0';
    if (slot->answer.status != 0)
        return moed_fail(err, slot->answer.status, "%s", slot->answer.message);
    if (slot->answer.bytes > client->lane.slot_bytes)
        return moed_fail(err, MOED_E_MALFORMED, "the server's description is larger than its slot");
    client->info = moed_calloc(slot->answer.bytes + 1, 1);
    if (client->info == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the server's description");
    memcpy(client->info, lane_arrays(&client->lane, 0), slot->answer.bytes);
    return 0;
}

int client_describe(struct moed_client *client, const struct lane_wish *wish,
                    struct moed_error *err)
{
    struct lane_wish small = *wish;
    cJSON *info;
    int rc;

    small.slots = 1;
    small.slot_bytes = INFO_BYTES;
    rc = lane_open(&client->lane, &small, err);
    if (rc != 0)
        return rc;
    rc = ask(client, err);
    lane_close(&client->lane);
    if (rc != 0)
        return rc;
    info = cJSON_Parse(client->info);
    if (info == NULL)
        return moed_fail(err, MOED_E_MALFORMED, "the server's description is no JSON");
    rc = read_layers(client, info, err);
    cJSON_Delete(info);
    return rc;
}

const struct moed_client_layer *client_layer(const struct moed_client *client, uint32_t layer)
{
    for (uint32_t i = 0; i < client->n_layers; i++)
        if (client->layers[i].layer == layer)
            return &client->layers[i];
    return NULL;
}
